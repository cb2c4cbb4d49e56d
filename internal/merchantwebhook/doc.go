// Package merchantwebhook sends the events of orders and stock to merchants, as webhooks by the Standard Webhooks
// specification (package webhook signs them).
//
// A merchant has a subscription: an address, the types of events that it gets, and a secret. The way of an event:
//
//   - [Handler] consumes the events from a queue of its own. It writes a delivery for each subscription that gets the
//     event, in the transaction of the inbox row. An event that no subscription gets leaves no row.
//   - [Sender] leases deliveries that are due (FOR UPDATE SKIP LOCKED), posts them and writes the outcome. If a
//     process dies in between, its lease ends and the delivery is sent again. The webhook-id is the event's id each
//     time. The sender also deletes old events with their deliveries.
//
// Deliveries of one subscription are sent several at a time, and a failed one comes again later, so the events of an
// order can arrive out of order. The merchant orders them by aggregateVersion.
package merchantwebhook
