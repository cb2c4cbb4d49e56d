package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"holdfast/internal/problem"
)

// MaxBody bounds the body of a webhook that the platform receives, in bytes.
const MaxBody = 256 << 10

// ReadBody returns the body of a webhook, exactly as it was signed. The problem body_too_large: it has more than limit
// bytes.
func ReadBody(r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, limit))
	var size *http.MaxBytesError
	if errors.As(err, &size) {
		return nil, Table.New(problem.BodyTooLarge, "a webhook's body has at most %d bytes", limit)
	}
	if err != nil {
		return nil, fmt.Errorf("read the webhook's body: %w", err)
	}
	return body, nil
}

// Inbox remembers which webhooks were processed. It keeps an id for longer than the sender repeats a webhook, because
// each repetition is signed with a new timestamp.
type Inbox interface {
	// Processed reports whether the webhook of this source was processed before.
	Processed(ctx context.Context, source, id string) (bool, error)

	// MarkProcessed remembers the webhook. It is idempotent.
	MarkProcessed(ctx context.Context, source, id string, at time.Time) error
}

// ErrReplayed says that the webhook was processed before. The receiver answers 200, so that the sender stops.
var ErrReplayed = errors.New("the webhook was processed before")

// Once processes a webhook that was not processed before. It remembers the webhook only after process has succeeded, so
// that a crash loses none. Therefore process may run again for the same id, also at the same time in another
// process; it must be idempotent under the id. ErrReplayed: the webhook was processed before.
func Once(ctx context.Context, inbox Inbox, source, id string, process func(context.Context) error) error {
	done, err := inbox.Processed(ctx, source, id)
	switch {
	case err != nil:
		return fmt.Errorf("look up webhook %s of %s: %w", id, source, err)
	case done:
		return ErrReplayed
	}
	if err := process(ctx); err != nil {
		return fmt.Errorf("process webhook %s of %s: %w", id, source, err)
	}
	if err := inbox.MarkProcessed(ctx, source, id, time.Now().UTC()); err != nil {
		return fmt.Errorf("remember webhook %s of %s: %w", id, source, err)
	}
	return nil
}
