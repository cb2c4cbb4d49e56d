package notification

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
)

// Message is what a customer gets.
type Message struct {
	NotificationID uuid.UUID
	OrderID        uuid.UUID
	OrderNumber    string
	Kind           Kind
	// Serial distinguishes a message that an operator asks for again from the first one. Attempts to send one message
	// have the same serial.
	Serial   int
	Language string // of the texts: a BCP 47 tag
	Date     time.Time
	To       string // the customer's address
	Subject  string
	Text     string
	HTML     string
}

// Sender sends messages. Several goroutines may call it.
//
// The error of Send wraps ErrRefused, ErrDeferred or ErrUnavailable. Its text has no personal data. A nil error means
// that the channel is responsible for the message from now on, and not that the customer has read it.
type Sender interface {
	Send(ctx context.Context, m Message) error
	Channel() string // the sender's name in the table and in metrics
}

// The outcomes of an attempt that did not succeed.
var (
	// ErrRefused says that no attempt to send this message can succeed.
	ErrRefused = errors.New("the message is refused")
	// ErrDeferred says that a later attempt to send this message may succeed.
	ErrDeferred = errors.New("the message is deferred")
	// ErrUnavailable says that nothing can be sent now, whatever the message is.
	ErrUnavailable = errors.New("the mail server is unavailable")
)

// LogSender writes a line to the log instead of sending a message. It is for development.
type LogSender struct{ log *slog.Logger }

// NewLogSender returns a sender that writes to log.
func NewLogSender(log *slog.Logger) LogSender { return LogSender{log} }

// Channel implements Sender.
func (LogSender) Channel() string { return ChannelLog }

// Send writes what would have been sent, without the address and the text. It never fails.
func (s LogSender) Send(ctx context.Context, m Message) error {
	s.log.InfoContext(ctx, "a customer would be told", "kind", m.Kind, "order_id", m.OrderID,
		"order_number", m.OrderNumber, "notification_id", m.NotificationID, "language", m.Language)
	return nil
}
