package groupcommit

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// A batch that finds stock locked is regrouped, so that only requests for that stock wait for the lock.
func TestLockedBatchIsRegrouped(t *testing.T) {
	t.Parallel()
	b := newBench(100)
	results := []result{b.submitNumber(t, 1, 'a', 'x', 'b', 'c')}
	require.Equal(t, begun{[]int{1}, refuseOnLock}, <-b.begun)
	results = append(results,
		b.submitNumber(t, 2, 'a'),
		b.submitNumber(t, 3, 'x'),
		b.submitNumber(t, 4, 'x'),
		b.submitNumber(t, 5, 'b'),
		b.submitNumber(t, 6, 'c'),
	)
	b.end <- decided
	require.Equal(t, begun{[]int{2, 3, 4, 5, 6}, regroupOnLock}, <-b.begun)

	b.end <- undecided // another transaction holds x

	isolated := []begun{<-b.begun, <-b.begun, <-b.begun}
	require.ElementsMatch(t, []begun{
		{[]int{2}, refuseOnLock},
		{[]int{3, 4}, refuseOnLock},
		{[]int{5}, refuseOnLock},
	}, isolated)
	results = append(results, b.submitNumber(t, 7, 'd'))
	require.Equal(t, begun{[]int{7}, refuseOnLock}, <-b.begun, "6 must wait: one lane is left for other stock")

	for range 5 {
		b.end <- decided
	}
	requireAll(t, results)
	requireIdle(t, b.queue)
}

// Requests for stock that was found locked are isolated from the start, until a batch of that stock succeeds.
func TestLockedStockIsRemembered(t *testing.T) {
	t.Parallel()
	b := newBench(100)
	results := []result{b.submitNumber(t, 1, 'x', 'y')}
	<-b.begun
	results = append(results, b.submitNumber(t, 2, 'y'), b.submitNumber(t, 3, 'x'))
	b.end <- refusedByLock
	isolated := []begun{<-b.begun, <-b.begun}
	require.ElementsMatch(t, []begun{{[]int{2}, refuseOnLock}, {[]int{3}, refuseOnLock}}, isolated)

	results = append(results, b.submitNumber(t, 4, 'x', 'y'))
	b.end <- decided // x and y are free: from now on they are like other stock
	b.end <- decided
	require.Equal(t, begun{[]int{4}, refuseOnLock}, <-b.begun)
	b.await(t, func() bool { return len(b.lockedAt) == 0 })
	results = append(results, b.submitNumber(t, 5, 'y'), b.submitNumber(t, 6, 'x'))
	b.end <- decided
	require.Equal(t, begun{[]int{5, 6}, regroupOnLock}, <-b.begun)

	b.end <- decided
	requireAll(t, results)
	requireIdle(t, b.queue)
}

// While some stock is locked, the products of confirmations are looked up, so that confirmations on other stock do not
// share the lane of those on locked stock.
func TestProductsOfConfirmationsAreLookedUpWhileStockIsLocked(t *testing.T) {
	t.Parallel()
	b := newBench(100)
	b.productsOf = func(_ context.Context, reservations []uuid.UUID) (map[uuid.UUID][]uuid.UUID, error) {
		found := map[uuid.UUID][]uuid.UUID{}
		for _, r := range reservations {
			found[r] = []uuid.UUID{r} // a product of its own for each
		}
		return found, nil
	}
	ctx := context.WithoutCancel(t.Context())
	results := []result{b.submitAs(t, ctx, confirmation(1))}
	<-b.begun
	results = append(results, b.submitAs(t, ctx, confirmation(2)), b.submitAs(t, ctx, confirmation(3)))
	b.end <- decided
	require.Equal(t, begun{[]int{2, 3}, regroupOnLock}, <-b.begun, "their products are unknown")

	b.end <- undecided

	require.ElementsMatch(t, [][]int{{2}, {3}}, [][]int{(<-b.begun).tasks, (<-b.begun).tasks})
	results = append(results, b.submitAs(t, ctx, confirmation(4)))
	require.Equal(t, []int{4}, (<-b.begun).tasks)
	results = append(results, b.submitAs(t, ctx, confirmation(5)))
	require.Equal(t, []int{5}, (<-b.begun).tasks, "its product is known from the start, so that it does not wait for 4")
	for range 4 {
		b.end <- decided
	}
	requireAll(t, results)
	requireIdle(t, b.queue)
}
