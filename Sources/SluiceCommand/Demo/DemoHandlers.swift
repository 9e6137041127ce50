/// The handlers of the demo, the same as in Examples/flights: a test holds them against each other.
enum DemoHandlers {
  /// Fails on a cancelled flight.
  static let delays = #"""
    """Computes how late each flight left. Reads one event a line, answers one line.

    Fails on a cancelled flight: it has no departure time, and None cannot be subtracted.
    """
    import base64
    import json
    import sys
    import traceback


    def minutes(clock):
        """Minutes since midnight of a time like 517 (5:17) or 2400."""
        hours, rest = divmod(clock, 100)
        return hours * 60 + rest


    def delay(flight):
        """Minutes late; negative when early. A departure after midnight belongs to the day before."""
        late = minutes(flight["dep_time"]) - minutes(flight["sched_dep_time"])
        return late + 1440 if late < -720 else late


    def name(flight):
        return f"{flight['carrier']} {flight['flight']} from {flight['origin']} to {flight['dest']}, {flight['tailnum']}"


    def handle(event):
        for record in event["Records"]:
            flight = json.loads(base64.b64decode(record["kinesis"]["data"]))
            try:
                delay(flight)
            except TypeError as error:
                error.args = (f"{error} (flight {name(flight)})",)
                raise
        return {}


    def main():
        for line in sys.stdin:
            try:
                answer = handle(json.loads(line))
            except Exception as error:
                answer = {
                    "errorType": type(error).__name__,
                    "errorMessage": str(error),
                    "stackTrace": traceback.format_tb(error.__traceback__),
                }
            print(json.dumps(answer), flush=True)


    if __name__ == "__main__":
        main()

    """#

  /// Knows that a cancelled flight has no delay.
  static let fixed = #"""
    """Computes how late each flight left. Reads one event a line, answers one line.

    A cancelled flight has no departure time and so no delay.
    """
    import base64
    import json
    import sys
    import traceback


    def minutes(clock):
        """Minutes since midnight of a time like 517 (5:17) or 2400."""
        hours, rest = divmod(clock, 100)
        return hours * 60 + rest


    def delay(flight):
        """Minutes late; negative when early, None when cancelled. A departure after midnight belongs to the day before."""
        if flight["dep_time"] is None:
            return None
        late = minutes(flight["dep_time"]) - minutes(flight["sched_dep_time"])
        return late + 1440 if late < -720 else late


    def handle(event):
        for record in event["Records"]:
            flight = json.loads(base64.b64decode(record["kinesis"]["data"]))
            delay(flight)
        return {}


    def main():
        for line in sys.stdin:
            try:
                answer = handle(json.loads(line))
            except Exception as error:
                answer = {
                    "errorType": type(error).__name__,
                    "errorMessage": str(error),
                    "stackTrace": traceback.format_tb(error.__traceback__),
                }
            print(json.dumps(answer), flush=True)


    if __name__ == "__main__":
        main()

    """#
}
