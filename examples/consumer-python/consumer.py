#!/usr/bin/env python3
"""Mails is an example of a program that lives from Holdfast's events, written from docs/events/asyncapi.yaml alone.

It decides which mails a shop sends about its orders. It keeps the state of each order, and the mails that are to be sent,
in an SQLite database of its own. Another program sends the mails and asks the API for the customer's address, because
events carry no personal data.
"""

import json
import os
import signal
import sqlite3
import sys
import time

import pika

# The exchange is Holdfast's: channels.ordersEvents in the document. The queues are this program's.
EXCHANGE = "orders.events"
QUEUE = "mails.order_events"
DEAD_LETTERS = "mails.order_events.dead"

# The events that a customer gets a mail about.
MAILS = {"order.paid": "receipt", "order.expired": "expiry", "order.cancelled": "cancellation"}

SCHEMA = """
CREATE TABLE IF NOT EXISTS inbox (event_id TEXT PRIMARY KEY, applied_at TEXT DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE IF NOT EXISTS orders (order_id TEXT PRIMARY KEY, state TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS mails (mail_id INTEGER PRIMARY KEY, order_id TEXT NOT NULL, kind TEXT NOT NULL);
"""

RECONNECT_SECONDS = 1


class Malformed(Exception):
    """No attempt to process the message can succeed."""


class Stopped(Exception):
    """The program was asked to stop."""


def read(body):
    """Returns the event. Members that the program does not know are ignored: a later release may add some."""
    try:
        event = json.loads(body)
        return {
            "type": event["eventType"],
            "id": event["eventId"],
            "order": event["aggregateId"],
            "version": int(event["aggregateVersion"]),
            "state": event["data"]["state"],
        }
    except (ValueError, KeyError, TypeError) as e:
        raise Malformed(repr(e)) from e


def apply(db, event):
    """Applies an event once, however often it comes: the row of the inbox commits together with the effect."""
    with db:  # one transaction
        if db.execute("INSERT OR IGNORE INTO inbox (event_id) VALUES (?)", (event["id"],)).rowcount == 0:
            return
        # The newest state wins. An event that comes late does not overwrite it.
        db.execute(
            """INSERT INTO orders (order_id, state, version) VALUES (:order, :state, :version)
               ON CONFLICT (order_id) DO UPDATE SET state = excluded.state, version = excluded.version
               WHERE orders.version < excluded.version""",
            event,
        )
        if event["type"] in MAILS:
            db.execute("INSERT INTO mails (order_id, kind) VALUES (?, ?)", (event["order"], MAILS[event["type"]]))


def declare(channel):
    """Declares this program's queues. The exchange belongs to Holdfast: passive means that it must be there."""
    channel.exchange_declare(EXCHANGE, passive=True)
    channel.queue_declare(DEAD_LETTERS, durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_declare(
        QUEUE,
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            # Of several instances of this program one works at a time, so that none overtakes another.
            "x-single-active-consumer": True,
            "x-delivery-limit": 20,
            "x-dead-letter-exchange": "",  # the default exchange, whose keys are names of queues
            "x-dead-letter-routing-key": DEAD_LETTERS,
        },
    )
    channel.queue_bind(QUEUE, EXCHANGE, routing_key="order.*")


def consume(url, db):
    """Processes events on one connection until it fails. One message after the other keeps the order of the events."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    declare(channel)
    channel.basic_qos(prefetch_count=50)
    print("waiting for events", flush=True)
    for method, _, body in channel.consume(QUEUE):
        try:
            apply(db, read(body))
        except Malformed as e:
            print("a message goes to the dead letters:", e, file=sys.stderr, flush=True)
            channel.basic_reject(method.delivery_tag, requeue=False)
            continue
        channel.basic_ack(method.delivery_tag)  # only now, when the effect is committed


def stop(_signal, _frame):
    raise Stopped


def main():
    url, path = os.environ.get("AMQP_URL"), os.environ.get("DATABASE")
    if not url or not path:
        sys.exit("set AMQP_URL to the address of RabbitMQ, and DATABASE to a file of this program")
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    db = sqlite3.connect(path)
    try:
        db.executescript(SCHEMA)
        # Whatever the connection does, the program begins anew. The broker delivers again what was not acknowledged.
        while True:
            try:
                consume(url, db)
            except pika.exceptions.AMQPError as e:
                print("the events stop for a moment:", repr(e), file=sys.stderr, flush=True)
                time.sleep(RECONNECT_SECONDS)
    except Stopped:
        pass
    finally:
        db.close()


if __name__ == "__main__":
    main()
