package main

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"holdfast/internal/temporalclient"
	"holdfast/internal/unanswered"
)

// connectTimeout is how long a command waits for Temporal to answer.
const connectTimeout = 15 * time.Second

// dialTemporal connects a command to Temporal. The caller closes the client.
func dialTemporal(ctx context.Context, cfg temporalclient.Config) (client.Client, error) {
	c, err := temporalclient.Dial(ctx, cfg, nil)
	return c, noTemporal(cfg, err)
}

// noTemporal says what to do if err is that Temporal does not answer. It returns any other error as it is.
func noTemporal(cfg temporalclient.Config, err error) error {
	var away *serviceerror.Unavailable
	var late *serviceerror.DeadlineExceeded
	if errors.As(err, &away) || errors.As(err, &late) || errors.Is(err, context.DeadlineExceeded) {
		return unanswered.New(cfg.Address, "TEMPORAL_ADDRESS", err)
	}
	return err
}
