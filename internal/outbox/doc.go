// Package outbox publishes the events of the outbox tables to RabbitMQ.
//
// A service writes an event into its outbox in the transaction of the change that the event announces. A [Relay] leases
// events that wait there, publishes them, and marks those that RabbitMQ has confirmed. So an event of a committed
// change is published at least once, whatever fails: if a relay dies, its lease runs out and another relay publishes
// the event again, perhaps for the second time. Consumers recognise an event by its id.
//
// The events of one aggregate leave in the order of their versions, and each only after the one before it is confirmed,
// also with several relays and after a failure. What a relay leases makes sure of that (LeaseEvents in
// db/queries/outbox), and the waves in which it publishes ([waves]). There is no order between aggregates.
//
// A relay polls. A NOTIFY in the services' transactions would make their commits wait for one another (ADR 13).
package outbox
