// Accounting is an example of a program that lives from Holdfast's events. It keeps the state of each order and the
// revenue of each currency in a PostgreSQL database of its own. It was written from docs/events/asyncapi.yaml and
// shares no code with Holdfast.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	err := run(ctx, log)
	stop()
	if err != nil {
		log.Error("accounting ended", "error", err)
		os.Exit(1)
	}
}

// reconnectPause is how long the program waits before it connects again.
const reconnectPause = time.Second

func run(ctx context.Context, log *slog.Logger) error {
	broker, database := os.Getenv("AMQP_URL"), os.Getenv("DATABASE_URL")
	if broker == "" || database == "" {
		return errors.New("set AMQP_URL to the address of RabbitMQ, and DATABASE_URL to a database of this program")
	}
	pool, err := pgxpool.New(ctx, database)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer pool.Close()
	books := books{pool}
	if err := books.prepare(ctx); err != nil {
		return err
	}

	// Whatever fails, the program begins anew with a fresh connection. The broker delivers again what was not
	// acknowledged, in its order.
	for {
		err := consume(ctx, broker, books, log)
		if ctx.Err() != nil {
			return nil // a program that is stopped has not failed
		}
		log.Warn("the events stop for a moment", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(reconnectPause):
		}
	}
}
