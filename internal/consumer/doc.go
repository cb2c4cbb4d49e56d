// Package consumer reads events from a queue and applies each once in effect.
//
// RabbitMQ delivers a message at least once. A [Consumer] remembers the events that it has processed in an inbox, the
// table processed_events of its own database, and acknowledges a message only when that is committed:
//
//   - An effect in the consumer's own database commits in one transaction with the inbox row, so it happens once.
//   - Any other effect, such as a call of another service, happens before the inbox row is written. It happens again if
//     the process dies in between, so it must be idempotent: its operation id derives from the event's id.
//
// A message that fails for a temporary reason comes again after a delay, a limited number of times. A message that can
// never succeed (poison), or has failed too often, goes to the dead-letter queue of its queue with the reason in its
// headers. Package deadletter takes it from there.
//
// Messages of one aggregate are processed one after the other. After a failure, or with several processes, an older
// event can still come after a newer one: a handler must not rely on the order.
package consumer
