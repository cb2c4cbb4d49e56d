package inventory

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/stock"
)

// TestGoneCallerIsNotTaken: a batch that forms between the end of a caller's patience and its own word of it
// leaves the caller's request out all the same.
func TestGoneCallerIsNotTaken(t *testing.T) {
	t.Parallel()
	w := newWorkbench(100)
	first := w.enqueued(t, t.Context(), 1, 'a')
	require.Equal(t, []int{1}, <-w.begun)
	ctx, cancel := context.WithCancel(t.Context())
	keys := []uuid.UUID{key('a')}
	gone := &unit{ctx: ctx, requests: []stock.Request{job{n: 2, keys: keys}}, keys: keys, answers: make([]answer, 1), done: make(chan struct{})}
	require.NoError(t, w.enqueue(gone))
	stays := w.enqueued(t, t.Context(), 3, 'a')
	cancel() // and nobody calls abandon
	w.end <- struct{}{}
	require.Equal(t, []int{3}, <-w.begun)
	w.end <- struct{}{}
	require.NoError(t, <-first)
	require.NoError(t, <-stays)
	w.close()
	require.Empty(t, w.claims)
	require.Zero(t, w.queued)
}
