package sandboxserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/db/sandboxdb"
	"holdfast/internal/payment"
	"holdfast/internal/payment/sandbox"
	"holdfast/internal/webhook"
)

const (
	// deliverAtOnce is how many webhooks are delivered at once.
	deliverAtOnce = 16
	// deliverEvery is how often the sandbox looks for webhooks that are due; a new one wakes it at once.
	deliverEvery = 500 * time.Millisecond
	// deliverLease is how long a process has for a delivery before another one repeats it; longer than a delivery takes.
	deliverLease = 30 * time.Second
	// giveUpAfter is how long the sandbox repeats a webhook that is not delivered.
	giveUpAfter = 24 * time.Hour
	// keptFor is how long a webhook that has ended stays in the database.
	keptFor = 7 * 24 * time.Hour
	// cleanEvery is how often those are deleted.
	cleanEvery = time.Hour
)

// tells reports whether the sandbox sends webhooks.
func (s *server) tells() bool { return s.webhookURL != "" }

// tell writes one webhook for each event, in db: the transaction of the change.
func (s *server) tell(
	c *gin.Context, db sandboxdb.DBTX, charge sandboxdb.Charge, refund *payment.Refund, events ...payment.EventType,
) error {
	if !s.tells() {
		return nil
	}
	e := effectsIn(c)
	for _, event := range events {
		body, err := json.Marshal(sandbox.WebhookBody{
			Type:      event,
			Timestamp: charge.UpdatedAt.UTC(),
			Data:      sandbox.WebhookData{Payment: s.wire(c, charge), Refund: refund},
		})
		if err != nil {
			return fmt.Errorf("encode the webhook %s: %w", event, err)
		}
		err = s.q.InsertWebhook(c, db, sandboxdb.InsertWebhookParams{
			EventID:      uuid.New(),
			Body:         string(body),
			Copies:       e.copies,
			DelaySeconds: e.lateWebhook.Seconds(),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// wakeUp makes deliver look for webhooks at once.
func (s *server) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake already
	}
}

// deliver sends the webhooks that are due until ctx ends. A webhook that is not delivered is repeated after growing
// pauses for a day. It logs an error of the database and goes on.
func (s *server) deliver(ctx context.Context, log *slog.Logger) error {
	look := time.NewTicker(deliverEvery)
	defer look.Stop()
	var cleaned time.Time
	for {
		sent, err := s.deliverDue(ctx, log)
		if err == nil && time.Since(cleaned) > cleanEvery {
			_, err = s.q.DeleteEndedWebhooks(ctx, s.pool, keptFor.Seconds())
			cleaned = time.Now()
		}
		if err != nil && ctx.Err() == nil {
			log.ErrorContext(ctx, "webhooks are not delivered", "error", err)
		}
		if sent == deliverAtOnce && err == nil {
			continue // more may be due
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		case <-s.wake:
		}
	}
}

// deliverDue sends webhooks that are due, at most deliverAtOnce, and returns how many it has tried.
func (s *server) deliverDue(ctx context.Context, log *slog.Logger) (int, error) {
	due, err := s.q.LeaseWebhooks(ctx, s.pool, sandboxdb.LeaseWebhooksParams{
		AtMost:       deliverAtOnce,
		LeaseSeconds: deliverLease.Seconds(),
	})
	if err != nil {
		return 0, fmt.Errorf("lease webhooks: %w", err)
	}
	results := make([]error, len(due))
	var all sync.WaitGroup
	for i, w := range due {
		all.Go(func() { results[i] = s.deliverOne(ctx, log, w) })
	}
	all.Wait()
	return len(due), errors.Join(results...)
}

// deliverOne sends one webhook and records the outcome. Its error is the database's.
func (s *server) deliverOne(ctx context.Context, log *slog.Logger, w sandboxdb.Webhook) error {
	sendErr := s.sender.Send(ctx, s.webhookURL, w.EventID.String(), []byte(w.Body))
	if sendErr == nil {
		if err := s.q.DeliveredWebhook(ctx, s.pool, w.EventID); err != nil {
			return fmt.Errorf("record the delivery of webhook %s: %w", w.EventID, err)
		}
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err // the process stops; the lease ends, and the webhook is sent again
	}
	giveUp := errors.Is(sendErr, webhook.ErrGone) || time.Since(w.CreatedAt) > giveUpAfter
	log.WarnContext(ctx, "a webhook was not delivered",
		"event_id", w.EventID, "attempt", w.Attempts, "given_up", giveUp, "error", sendErr)
	err := s.q.FailedWebhook(ctx, s.pool, sandboxdb.FailedWebhookParams{
		EventID:      w.EventID,
		LastError:    sendErr.Error(),
		PauseSeconds: webhook.Pause(int(w.Attempts)).Seconds(),
		GiveUp:       giveUp,
	})
	if err != nil {
		return fmt.Errorf("record the failure of webhook %s: %w", w.EventID, err)
	}
	return nil
}

// newTransport returns a transport of its own, so that no other client shares its connections.
func newTransport() *http.Transport {
	return http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented type
}
