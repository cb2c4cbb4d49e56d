package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/breaker"
	"holdfast/internal/payment"
	"holdfast/internal/service"
)

// maxTimeout is how long the providers' clients wait for one call themselves.
const maxTimeout = 10 * time.Second

// Guard puts a time limit and a circuit breaker before a provider. A call that the breaker refuses was not sent; to the
// caller its outcome is unknown, as after every error that is not one of package payment, and never a refusal.
func Guard(p payment.Provider, c Config, env service.Env) payment.Provider {
	b := breaker.New(c.Breaker.Rule(), env.Log.With("breaker", "payment"))
	b.Export(env.Registry, "payment_circuit_breaker_state", "payment")
	return guarded{provider: p, timeout: c.Timeout, breaker: b, metrics: newMetrics(env.Registry)}
}

type guarded struct {
	provider payment.Provider
	timeout  time.Duration
	breaker  *breaker.Breaker
	metrics  *metrics
}

// Name implements payment.Provider.
func (g guarded) Name() string { return g.provider.Name() }

// Authorise implements payment.Provider.
func (g guarded) Authorise(ctx context.Context, a payment.Authorisation) (payment.Payment, error) {
	return guard(ctx, g, "authorise", func(ctx context.Context) (payment.Payment, error) {
		return g.provider.Authorise(ctx, a)
	})
}

// Capture implements payment.Provider.
func (g guarded) Capture(ctx context.Context, key string) (payment.Payment, error) {
	return guard(ctx, g, "capture", func(ctx context.Context) (payment.Payment, error) {
		return g.provider.Capture(ctx, key)
	})
}

// Void implements payment.Provider.
func (g guarded) Void(ctx context.Context, key, reason string) (payment.Payment, error) {
	return guard(ctx, g, "void", func(ctx context.Context) (payment.Payment, error) {
		return g.provider.Void(ctx, key, reason)
	})
}

// Refund implements payment.Provider.
func (g guarded) Refund(ctx context.Context, key, refundKey string, amountMinor int64) (payment.Payment, error) {
	return guard(ctx, g, "refund", func(ctx context.Context) (payment.Payment, error) {
		return g.provider.Refund(ctx, key, refundKey, amountMinor)
	})
}

// Get implements payment.Provider.
func (g guarded) Get(ctx context.Context, key string) (payment.Payment, error) {
	return guard(ctx, g, "look_up", func(ctx context.Context) (payment.Payment, error) { return g.provider.Get(ctx, key) })
}

// GetRefund implements payment.Provider.
func (g guarded) GetRefund(ctx context.Context, key, refundKey string) (payment.Refund, error) {
	return guard(ctx, g, "look_up_refund", func(ctx context.Context) (payment.Refund, error) {
		return g.provider.GetRefund(ctx, key, refundKey)
	})
}

// guard does one call, unless the breaker refuses it, and tells the breaker and the metrics how it went.
func guard[T any](
	ctx context.Context, g guarded, operation string, do func(context.Context) (T, error),
) (out T, err error) {
	start := time.Now()
	defer func() { g.metrics.answered(operation, err, time.Since(start)) }()
	settle, err := g.breaker.Allow()
	if err != nil {
		return out, fmt.Errorf("the payment provider was not asked: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()

	out, err = do(limited)
	switch {
	case decided(err):
		settle(nil)
	case ctx.Err() != nil: // the caller has left, or had less time than a call may take: this judges no provider
		settle(context.Canceled)
	case limited.Err() != nil:
		settle(context.DeadlineExceeded)
	default:
		settle(err)
	}
	return out, err
}

// decided reports whether the provider has answered, in whatever way.
func decided(err error) bool {
	var declined *payment.DeclinedError
	var action *payment.ActionRequiredError
	var refused *payment.RefusedError
	return err == nil || errors.As(err, &declined) || errors.As(err, &action) || errors.As(err, &refused) ||
		errors.Is(err, payment.ErrUnknown) || errors.Is(err, payment.ErrVoided) ||
		errors.Is(err, payment.ErrCaptured) || errors.Is(err, payment.ErrKeyUsed)
}
