package await_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/await"
)

var errNotYet = errors.New("not yet")

func TestUntil(t *testing.T) {
	t.Parallel()
	t.Run("it comes", func(t *testing.T) {
		t.Parallel()
		calls := 0
		require.NoError(t, await.Until(t.Context(), time.Millisecond, func() error {
			if calls++; calls < 3 {
				return errNotYet
			}
			return nil
		}))
		require.Equal(t, 3, calls)
	})
	t.Run("it never comes", func(t *testing.T) {
		t.Parallel()
		calls := 0
		err := await.Until(t.Context(), time.Millisecond, func() error {
			calls++
			return await.Never(errNotYet)
		})
		require.Equal(t, errNotYet, err)
		require.Equal(t, 1, calls)
	})
	t.Run("the time is over", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := await.Until(ctx, time.Millisecond, func() error { return errNotYet })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, errNotYet)
	})
}
