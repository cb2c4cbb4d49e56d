// Package rabbitmq declares the platform's exchanges and queues and supervises the sessions of its publishers and
// consumers. It knows nothing of what the messages mean.
//
// A [Session] is one connection to RabbitMQ and lives until the first fault: a lost connection, a channel that the
// broker closes, a consumer that the broker cancels. Nothing of a session is repaired. [Connector.Supervise] opens the
// next one and calls its work again, so every delivery, delivery tag and confirm belongs to the session that it came
// from. The client library's own recovery stays off: a channel that it reopens counts delivery tags from 1 again, so an
// acknowledgement of an old delivery could acknowledge another message.
//
// A publisher works like this:
//
//	connector.Supervise(ctx, "orders-relay", func(ctx context.Context, s *rabbitmq.Session) error {
//		publisher, err := s.Publisher(1000)
//		if err != nil {
//			return err
//		}
//		for ctx.Err() == nil {
//			results := publisher.Publish(ctx, messages) // nil: the broker has the message and has put it into a queue
//		}
//		return nil
//	})
//
// A consumer works like this. It returns an error only if the session is useless; what it has not acknowledged by then
// comes again, to this consumer or to another:
//
//	connector.Supervise(ctx, "orders-consumer", func(ctx context.Context, s *rabbitmq.Session) error {
//		deliveries, err := s.Consume(ctx, rabbitmq.OrdersInventoryEvents, prefetch)
//		if err != nil {
//			return err
//		}
//		for d := range deliveries { // ends when ctx ends or the session does
//			switch outcome := handle(ctx, d); outcome { // commits the effect together with the inbox row
//			case done:
//				err = d.Ack(false)
//			case poison:
//				err = d.Reject(false) // to the dead-letter queue
//			case tryLater:
//				// Publish it to RetryQueue(queue, delay) on another session, and acknowledge it once that is confirmed.
//			}
//			if err != nil {
//				return err
//			}
//		}
//		return nil
//	})
//
// Publishers and consumers use sessions of their own: while the broker is short of memory or disk it does not read from
// connections that publish, so an acknowledgement on such a connection would not arrive either.
//
// # Versions of RabbitMQ
//
// The topology is the same on RabbitMQ 3.10 and on every 4.x. We checked the release notes of 4.0 to 4.3:
//
//   - 4.0 removes mirroring of classic queues, and 4.3 refuses queues that are neither durable nor exclusive, and
//     basic.qos with the global flag. The platform declares durable quorum queues only, and sets the prefetch per
//     consumer.
//   - 4.0 gives quorum queues a delivery limit of 20 where none is declared; 3.10 has none. So each queue declares its
//     own.
//   - From 4.3 on, a basic.nack that requeues no longer counts towards the delivery limit, a basic.reject does. So a
//     consumer uses Reject and not Nack.
//   - Message TTL and at-least-once dead-lettering of quorum queues exist since 3.10. The latter needs the overflow
//     behaviour reject-publish.
package rabbitmq
