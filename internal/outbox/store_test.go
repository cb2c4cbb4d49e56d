package outbox_test

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/internal/outbox"
)

// TestLeaseSettles: a leased event belongs to one relay; a published one never comes again, and a failed one comes
// again after its delay.
func TestLeaseSettles(t *testing.T) {
	t.Parallel()
	for _, name := range databases {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, name)
			store := outbox.NewStore(pool)
			a, b := newEvent(uuid.New(), 1), newEvent(uuid.New(), 1)
			insert(t, pool, a, b)

			leased, seen, err := store.Lease(t.Context(), 10, time.Minute)
			require.NoError(t, err)
			require.Equal(t, 2, seen)
			require.Len(t, leased, 2)
			require.Equal(t, 1, leased[0].Attempts)
			require.Empty(t, lease(t, store, 10))

			failed := []outbox.Failure{{ID: b.id, Delay: 300 * time.Millisecond, Error: "refused"}}
			require.NoError(t, store.Settle(t.Context(), []uuid.UUID{a.id}, failed))
			require.NoError(t, store.Settle(t.Context(), []uuid.UUID{a.id}, failed), "the answer was lost")
			require.Empty(t, lease(t, store, 10))
			require.Equal(t, []uuid.UUID{b.id}, leaseSoon(t, store))
			require.Equal(t, 1, unpublished(t, pool))
		})
	}
}

// TestLeaseRunsOut: the events of a relay that died belong to the next one after the lease.
func TestLeaseRunsOut(t *testing.T) {
	t.Parallel()
	pool := newPool(t, database.Orders)
	store := outbox.NewStore(pool)
	e := newEvent(uuid.New(), 1)
	insert(t, pool, e)

	leased, _, err := store.Lease(t.Context(), 1, 200*time.Millisecond)
	require.NoError(t, err)
	require.Len(t, leased, 1)
	require.Equal(t, []uuid.UUID{e.id}, leaseSoon(t, store))
}

// TestLaterEventWaitsForTheEarlier: an event is not leased before the earlier ones of its aggregate, while another
// relay has them and while they wait after a failure; events of other aggregates go on.
func TestLaterEventWaitsForTheEarlier(t *testing.T) {
	t.Parallel()
	for _, name := range databases {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, name)
			store := outbox.NewStore(pool)
			aggregate := uuid.New()
			first, second, third := newEvent(aggregate, 1), newEvent(aggregate, 2), newEvent(aggregate, 3)
			insert(t, pool, first)
			require.Equal(t, []uuid.UUID{first.id}, lease(t, store, 10))

			other := newEvent(uuid.New(), 1)
			insert(t, pool, second, third, other)
			require.Equal(t, []uuid.UUID{other.id}, lease(t, store, 10), "the first is leased")

			failed := []outbox.Failure{{ID: first.id, Delay: 400 * time.Millisecond, Error: "refused"}}
			require.NoError(t, store.Settle(t.Context(), []uuid.UUID{other.id}, failed))
			require.Empty(t, lease(t, store, 10), "the first waits")

			var ids []uuid.UUID
			require.Eventually(t, func() bool {
				ids = append(ids, lease(t, store, 10)...)
				return slices.Contains(ids, first.id)
			}, 10*time.Second, 10*time.Millisecond)
			require.Equal(t, first.id, ids[0])
			require.NoError(t, store.Settle(t.Context(), ids, nil))
			for len(ids) < 3 {
				more := leaseSoon(t, store)
				require.NoError(t, store.Settle(t.Context(), more, nil))
				ids = append(ids, more...)
			}
			require.ElementsMatch(t, []uuid.UUID{first.id, second.id, third.id}, ids)
		})
	}
}

// TestBlockedEventsStarveNoOthers: many events behind a failed one do not keep a relay from the events after them.
func TestBlockedEventsStarveNoOthers(t *testing.T) {
	t.Parallel()
	pool := newPool(t, database.Inventory)
	store := outbox.NewStore(pool)
	busy := uuid.New()
	head := newEvent(busy, 1)
	insert(t, pool, head)
	require.Len(t, lease(t, store, 10), 1)
	require.NoError(t, store.Settle(t.Context(), nil, []outbox.Failure{{ID: head.id, Delay: time.Hour, Error: "refused"}}))
	for version := range int64(100) {
		insert(t, pool, newEvent(busy, version+2))
	}
	other := newEvent(uuid.New(), 1)
	insert(t, pool, other)

	var got []uuid.UUID
	for rounds := 0; len(got) == 0; rounds++ {
		require.LessOrEqual(t, rounds, 11, "each lease looks at ten events and must not see them again")
		got = lease(t, store, 10)
	}
	require.Equal(t, []uuid.UUID{other.id}, got)
	require.Empty(t, lease(t, store, 200))
}

// TestLateCommit: an event whose transaction commits after events with larger ids were published is published too.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	for _, name := range databases {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, name)
			store := outbox.NewStore(pool)
			late, early := newEvent(uuid.New(), 1), newEvent(uuid.New(), 1)
			require.Negative(t, bytes.Compare(late.id[:], early.id[:]))

			tx, err := pool.Begin(t.Context())
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), insertSQL, late.args()...)
			require.NoError(t, err)
			insert(t, pool, early)
			require.Equal(t, []uuid.UUID{early.id}, lease(t, store, 10))
			require.NoError(t, store.Settle(t.Context(), []uuid.UUID{early.id}, nil))

			require.NoError(t, tx.Commit(t.Context()))
			require.Equal(t, []uuid.UUID{late.id}, lease(t, store, 10))
		})
	}
}

// TestRelaysShareTheWork: relays that lease at the same time never get the same event, and together they get all, those
// of an aggregate in order.
func TestRelaysShareTheWork(t *testing.T) {
	t.Parallel()
	for _, name := range databases {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			const aggregates, versions, relays = 40, 25, 4
			pool := newPool(t, name)
			store := outbox.NewStore(pool)
			ids := make([]uuid.UUID, aggregates)
			for i := range ids {
				ids[i] = uuid.New()
			}
			for v := range int64(versions) {
				for _, id := range ids {
					insert(t, pool, newEvent(id, v+1))
				}
			}

			var mu sync.Mutex
			last, count := map[uuid.UUID]int64{}, 0
			var working sync.WaitGroup
			for range relays {
				working.Go(func() {
					for t.Context().Err() == nil {
						mu.Lock()
						done := count == aggregates*versions
						mu.Unlock()
						if done {
							return
						}
						leased, _, err := store.Lease(t.Context(), 30, time.Minute)
						if err != nil {
							t.Error(err)
							return
						}
						published := make([]uuid.UUID, 0, len(leased))
						slices.SortFunc(leased, func(a, b outbox.Event) int { return int(a.AggregateVersion - b.AggregateVersion) })
						mu.Lock()
						for _, e := range leased {
							if e.AggregateVersion != last[e.AggregateID]+1 {
								t.Errorf("version %d after %d", e.AggregateVersion, last[e.AggregateID])
							}
							last[e.AggregateID] = e.AggregateVersion
							count++
							published = append(published, e.ID)
						}
						mu.Unlock()
						if err := store.Settle(t.Context(), published, nil); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			working.Wait()
			require.Equal(t, aggregates*versions, count)
			require.Zero(t, unpublished(t, pool))
		})
	}
}

// TestDeletePublished deletes what was published before a time, and neither what waits nor what was published later.
func TestDeletePublished(t *testing.T) {
	t.Parallel()
	for _, name := range databases {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, name)
			store := outbox.NewStore(pool)
			old, recent, waiting := newEvent(uuid.New(), 1), newEvent(uuid.New(), 1), newEvent(uuid.New(), 1)
			insert(t, pool, old, recent, waiting)
			require.NoError(t, store.Settle(t.Context(), []uuid.UUID{old.id, recent.id}, nil))
			_, err := pool.Exec(t.Context(),
				`UPDATE outbox SET published_at = now() - interval '3 days' WHERE event_id = $1`, old.id)
			require.NoError(t, err)

			n, err := store.DeletePublished(t.Context(), time.Now().Add(-48*time.Hour), 10)
			require.NoError(t, err)
			require.Zero(t, n, "its id is not two days old, so the primary key's range does not have it")
			n, err = store.DeletePublished(t.Context(), time.Now().Add(time.Second), 10)
			require.NoError(t, err)
			require.Equal(t, 2, n)
			require.Equal(t, 1, unpublished(t, pool))
		})
	}
}

// TestBacklog counts what waits.
func TestBacklog(t *testing.T) {
	t.Parallel()
	for _, name := range databases {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, name)
			store := outbox.NewStore(pool)
			none, err := store.Backlog(t.Context())
			require.NoError(t, err)
			require.Equal(t, outbox.Backlog{}, none)

			insert(t, pool, newEvent(uuid.New(), 1), newEvent(uuid.New(), 1))
			_, err = pool.Exec(t.Context(), `UPDATE outbox SET created_at = created_at - interval '1 hour'`)
			require.NoError(t, err)
			some, err := store.Backlog(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 2, some.Waiting)
			require.InDelta(t, time.Hour, some.Oldest, float64(time.Minute))
		})
	}
}
