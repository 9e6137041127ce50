#!/bin/sh
# A handler needs nothing but lines: this one counts the records of each event on standard error.
# It answers {}, which means that the whole batch is done.
events=0
while IFS= read -r event; do
  events=$((events + 1))
  records=$(printf '%s' "$event" | grep -o '"eventID"' | wc -l)
  echo "event $events: $records records" >&2
  echo '{}'
done
