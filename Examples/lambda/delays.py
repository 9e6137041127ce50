"""How late each flight left: a function as it runs in AWS Lambda, with the batch processor of Powertools.

A cancelled flight has no departure time. Its record fails and the others of the batch do not.
"""
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

logger = Logger(service="delays")
processor = BatchProcessor(event_type=EventType.KinesisDataStreams, raise_on_entire_batch_failure=False)


def minutes(clock):
    """Minutes since midnight of a time like 517 (5:17) or 2400."""
    hours, rest = divmod(clock, 100)
    return hours * 60 + rest


def record_handler(record):
    flight = record.kinesis.data_as_json()
    late = minutes(flight["dep_time"]) - minutes(flight["sched_dep_time"])
    return late + 1440 if late < -720 else late


@logger.inject_lambda_context
def handler(event, context):
    return process_partial_response(
        event=event, record_handler=record_handler, processor=processor, context=context)
