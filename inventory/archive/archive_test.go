package archive_test

import (
	"context"
	"io/fs"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"holdfast/db/migrations"
	"holdfast/inventory/archive"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
)

func TestServiceArchives(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	inventorytest.Archive(t, s, s.Service)
}

func TestClientArchives(t *testing.T) {
	t.Parallel()
	s, base := inventorytest.NewServer(t)
	inventorytest.Archive(t, s, inventorytest.NewClient(t, base))
}

const day = 24 * time.Hour

// history makes released, expired and confirmed reservations on two products, and a receipt of each. It returns a
// confirmed reservation.
func history(t *testing.T, s inventorytest.Subject) (confirmed inventoryapi.ReserveRequest) {
	t.Helper()
	p, other := s.Stock(t, 100, 100), s.Stock(t, 100)
	for i := range 6 {
		in := inventorytest.NewReserve(inventorytest.Line(p, 1), inventorytest.Line(other, 2))
		_, err := s.API.Reserve(t.Context(), in)
		require.NoError(t, err)
		switch i % 3 {
		case 0:
			_, err = s.API.Release(t.Context(), in.ReservationID, inventorytest.ReleaseOf(in))
		case 1:
			s.Age(t, in.ReservationID)
			_, err = s.API.Expire(t.Context(), in.ReservationID, inventorytest.Resolve())
		default:
			confirmed = in
			_, err = s.API.Confirm(t.Context(), in.ReservationID, inventorytest.Resolve())
		}
		require.NoError(t, err)
	}
	return confirmed
}

// ages are the command's defaults.
func ages() archive.Options {
	return archive.Options{
		OlderThan:          90 * day,
		ConfirmedOlderThan: 400 * day,
		OutboxOlderThan:    30 * day,
		ImportsOlderThan:   90 * day,
		Batch:              3,
	}
}

// TestArchiveHeedsAges: a run archives each kind at its age, and entries with their reservation and in order.
func TestArchiveHeedsAges(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	confirmed := history(t, s)
	_, err := s.Pool.Exec(t.Context(), `
		INSERT INTO processed_events (consumer, event_id) VALUES ('c', gen_random_uuid());
		INSERT INTO stock_imports (import_id, content_hash, settled_rows) VALUES (gen_random_uuid(), sha256(''), '{}')`)
	require.NoError(t, err)
	run := func() archive.Summary {
		t.Helper()
		sum, err := archive.Run(t.Context(), s.Pool, ages())
		require.NoError(t, err)
		require.False(t, sum.Stopped)
		inventorytest.RequireConsistent(t, s.Pool)
		return sum
	}
	require.Zero(t, run().Rows(), "everything is young")

	inventorytest.Backdate(t, s.Pool, 31*day)
	sum := run()
	require.EqualValues(t, 15, sum.Events, "an event for each change")
	require.EqualValues(t, 1, sum.Processed)
	require.EqualValues(t, 16, sum.Rows())

	inventorytest.Backdate(t, s.Pool, 60*day)
	sum = run()
	require.Equal(t, []int64{2, 2, 0}, []int64{sum.Released, sum.Expired, sum.Confirmed})
	require.EqualValues(t, 8, sum.Lines)
	require.EqualValues(t, 1, sum.Imports)
	// The receipts, and of each item the entries of the first two reservations, which precede those of the confirmed one.
	require.EqualValues(t, 3+8, sum.Entries)
	_, err = s.API.GetReservation(t.Context(), confirmed.ReservationID)
	require.NoError(t, err)

	// A late return keeps its reservation out of the archive for as long as the caller may repeat the return.
	inventorytest.Backdate(t, s.Pool, 320*day)
	back := inventorytest.ReturnOf(inventoryapi.ReturnLine{LineNo: 1, Quantity: 1})
	_, err = s.API.Return(t.Context(), confirmed.ReservationID, back)
	require.NoError(t, err)
	sum = run()
	require.EqualValues(t, 1, sum.Confirmed)
	_, err = s.API.Return(t.Context(), confirmed.ReservationID, back)
	require.NoError(t, err, "repeated")

	inventorytest.Backdate(t, s.Pool, 91*day)
	sum = run()
	require.EqualValues(t, 1, sum.Confirmed)
	var left int
	require.NoError(t, s.Pool.QueryRow(t.Context(), `
		SELECT (SELECT count(*) FROM reservations)
			+ (SELECT count(*) FROM reservation_lines)
			+ (SELECT count(*) FROM stock_ledger)`).Scan(&left))
	require.Zero(t, left, "rows left after everything was archived")
	require.Zero(t, run().Rows(), "a second run has nothing to do")
}

// TestArchiveKeepsOrder: if an entry stays, the later entries of its item stay too.
func TestArchiveKeepsOrder(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 10)
	pending := inventorytest.NewReserve(inventorytest.Line(p, 1))
	done := inventorytest.NewReserve(inventorytest.Line(p, 1))
	for _, in := range []inventoryapi.ReserveRequest{pending, done} {
		_, err := s.API.Reserve(t.Context(), in)
		require.NoError(t, err)
	}
	_, err := s.API.Release(t.Context(), done.ReservationID, inventorytest.ReleaseOf(done))
	require.NoError(t, err)

	sum, err := archive.Run(t.Context(), s.Pool, inventorytest.Everything())
	require.NoError(t, err)
	require.EqualValues(t, 1, sum.Reservations())
	require.EqualValues(t, 1, sum.Entries, "the receipt")

	_, err = s.API.Release(t.Context(), pending.ReservationID, inventorytest.ReleaseOf(pending))
	require.NoError(t, err)
	sum, err = archive.Run(t.Context(), s.Pool, inventorytest.Everything())
	require.NoError(t, err)
	require.EqualValues(t, 4, sum.Entries)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestArchiveDryRun: a dry run counts what a run does, and changes nothing.
func TestArchiveDryRun(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	history(t, s)
	tomb := inventorytest.NewReserve(inventorytest.Line(uuid.New(), 1))
	_, err := s.API.Release(t.Context(), tomb.ReservationID, inventorytest.ReleaseOf(tomb))
	require.NoError(t, err)
	inventorytest.Backdate(t, s.Pool, 91*day)
	history(t, s)
	o := ages()
	o.DryRun = true
	var before, after string
	const checksum = `SELECT md5(string_agg(x, ',' ORDER BY x)) FROM (
		SELECT r::text || r.xmin || r.ctid AS x FROM reservations r
		UNION ALL SELECT l::text || l.xmin || l.ctid FROM reservation_lines l
		UNION ALL SELECT s::text || s.xmin || s.ctid FROM stock_ledger s
		UNION ALL SELECT o.event_id::text || o.xmin || o.ctid FROM outbox o
		UNION ALL SELECT b::text FROM ledger_balances b
		UNION ALL SELECT a::text FROM archive.reservations a) rows`
	require.NoError(t, s.Pool.QueryRow(t.Context(), checksum).Scan(&before))

	dry, err := archive.Run(t.Context(), s.Pool, o)
	require.NoError(t, err)
	require.NoError(t, s.Pool.QueryRow(t.Context(), checksum).Scan(&after))
	require.Equal(t, before, after)
	require.Zero(t, dry.Batches)
	require.EqualValues(t, 1, dry.Tombstones)

	o.DryRun = false
	sum, err := archive.Run(t.Context(), s.Pool, o)
	require.NoError(t, err)
	require.Equal(t, sum.Moved, dry.Moved)
	require.Positive(t, sum.Entries)
}

// TestArchiveStopsBetweenBatches: a run that is told to stop finishes the batch under way and reports Stopped. The next
// run does the rest.
func TestArchiveStopsBetweenBatches(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	history(t, s)
	ctx, stop := context.WithCancel(t.Context())
	o := inventorytest.Everything()
	o.Batch, o.Pause = 2, time.Hour
	o.Progress = func(string, int) { stop() }

	sum, err := archive.Run(ctx, s.Pool, o)
	require.NoError(t, err)
	require.True(t, sum.Stopped)
	require.Equal(t, 1, sum.Batches)
	require.EqualValues(t, 2, sum.Reservations())
	inventorytest.RequireConsistent(t, s.Pool)

	rest, err := archive.Run(t.Context(), s.Pool, inventorytest.Everything())
	require.NoError(t, err)
	require.EqualValues(t, 4, rest.Reservations())
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestArchiveLimits: Check refuses to archive rows that a repeated call may still need, and other wrong options.
func TestArchiveLimits(t *testing.T) {
	t.Parallel()
	require.NoError(t, ages().Check())
	for _, c := range []struct {
		part string
		o    func(*archive.Options)
	}{
		{"--older-than", func(o *archive.Options) { o.OlderThan = archive.Minimum - 1 }},
		{"--confirmed-older-than", func(o *archive.Options) { o.ConfirmedOlderThan = 0 }},
		{"--outbox-older-than", func(o *archive.Options) { o.OutboxOlderThan = -day }},
		{"--batch", func(o *archive.Options) { o.Batch = 0 }},
		{"--pause", func(o *archive.Options) { o.Pause = -1 }},
	} {
		with := ages()
		c.o(&with)
		require.ErrorContains(t, with.Check(), c.part)
	}
	require.Greater(t, archive.Minimum, inventoryapi.MaxTTLSeconds*time.Second)
}

// TestArchiveGoesBack: migrating down restores the archived rows, and migrating up again keeps them.
func TestArchiveGoesBack(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	confirmed := history(t, s)
	sum, err := archive.Run(t.Context(), s.Pool, inventorytest.Everything())
	require.NoError(t, err)
	require.Positive(t, sum.Entries)

	files, err := fs.Sub(migrations.FS, "inventory")
	require.NoError(t, err)
	db := stdlib.OpenDBFromPool(s.Pool)
	p, err := goose.NewProvider(goose.DialectPostgres, db, files)
	require.NoError(t, err)
	_, err = p.DownTo(t.Context(), 8)
	require.NoError(t, err)
	_, err = p.Up(t.Context())
	require.NoError(t, err)
	require.NoError(t, db.Close())
	s.Pool.Reset() // its prepared statements are for tables that were dropped
	inventorytest.RequireConsistent(t, s.Pool)

	out, err := s.API.GetReservation(t.Context(), confirmed.ReservationID)
	require.NoError(t, err)
	require.Len(t, out.Lines, 2)
	_, err = s.Service.Receive(t.Context(), stock.Receive{
		OperationID: uuid.New(),
		ProductID:   out.Lines[0].ProductID,
		Location:    "near",
		Quantity:    1,
		Actor:       inventorytest.Actor,
	})
	require.NoError(t, err, "the ledger continues after its last entry")

	again, err := archive.Run(t.Context(), s.Pool, inventorytest.Everything())
	require.NoError(t, err)
	require.Equal(t, sum.Entries+1, again.Entries)
	require.Equal(t, sum.Reservations(), again.Reservations())
	inventorytest.RequireConsistent(t, s.Pool)
}
