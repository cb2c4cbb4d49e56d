// Package notification tells customers what happened to their orders.
//
// A [Handler] consumes the events of orders and inserts a row into the table notifications for each event of which the
// customer is told. It commits with the consumer's inbox, so there is one row per event and kind. A [Dispatcher] leases
// the rows, composes each message from the order, and sends it through a [Sender]: [LogSender] writes a line to the
// log, and [SMTPSender] sends mail.
//
// A message is sent at least once. If the process dies after the server has taken a message and before the row is
// marked, the message is sent again. Both copies have the same Message-ID, by which mail systems can drop the second.
//
// The rows, the logs and the metrics have no personal data. Address, language and lines are read from the order when
// the message is sent, and a server's answer is kept as a code only, because its text repeats the address.
package notification
