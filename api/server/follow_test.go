package server

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"holdfast/api"
	"holdfast/api/follow"
	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/database"
	"holdfast/internal/httpx"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/internal/servicetoken"
	"holdfast/internal/telemetry"
	"holdfast/tests/testenv"
	"holdfast/workflows/orderflow"
)

// followServer is an api whose streams are quick enough for a test.
type followServer struct {
	t     *testing.T
	url   string
	pool  *pgxpool.Pool
	store *orderstore.Store
	hub   *follow.Hub
	gauge *prometheus.Registry
}

var quickPace = pace{
	heartbeat: 50 * time.Millisecond,
	quiet:     300 * time.Millisecond,
	age:       time.Minute,
	patience:  500 * time.Millisecond,
	retry:     2 * time.Second,
}

func startFollow(t *testing.T, listeners int, p pace) followServer {
	t.Helper()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Orders)
	require.NoError(t, err)
	pool, err := pgxpool.New(context.WithoutCancel(t.Context()), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)

	log, store, registry := slog.New(slog.DiscardHandler), orderstore.New(pool), prometheus.NewRegistry()
	hub := follow.New(follow.Config{MaxListeners: listeners, Poll: 10 * time.Millisecond}, store, log, registry)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { hub.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })

	router := httpx.NewRouter(httpx.Options{Log: log, Registry: telemetry.NewRegistry(), Health: httpx.NewHealth()})
	h := &handlers{store: store, log: log, hub: hub, pace: p}
	require.NoError(t, Register(router, h, authtest.Guard(t, servicetoken.API, api.Spec)))
	server := httptest.NewUnstartedServer(router)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 500*time.Millisecond, 500*time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	return followServer{t, server.URL, pool, store, hub, registry}
}

// record records an entry of an order of "alice". The first one makes the order.
func (s followServer) record(id uuid.UUID, seq int64, from, to order.State, event order.Event, at time.Time) {
	s.t.Helper()
	in := recordOf(id, "alice", strings.Repeat("ab", 32), to, nil)
	if seq > 1 {
		in.Order = nil
	}
	in.View.Seq = seq
	in.Entries = []orderflow.TimelineEntry{{
		Seq: seq, Event: event, From: from, State: to, At: at, Actor: orderflow.ActorSystem,
	}}
	_, err := s.store.Record(s.t.Context(), in)
	require.NoError(s.t, err)
}

// reserved makes an order of "alice" with the entries created (0) and reserved (1).
func (s followServer) reserved() uuid.UUID {
	s.t.Helper()
	id := uuid.New()
	s.record(id, 1, order.New, order.Reserved, order.EventReserved, time.Now())
	return id
}

// streamed is an event as a client reads it.
type streamed struct{ ID, Event, Data string }

// client reads a stream of events.
type client struct {
	t        *testing.T
	res      *http.Response
	events   chan streamed
	comments chan string
}

func (s followServer) connect(method, subject string, id uuid.UUID, last string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/api/orders/"+id.String()+"/events", nil)
	require.NoError(s.t, err)
	authtest.Authorize(s.t, req.Header, servicetoken.API, subject, auth.Customer)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// follow connects and reads until the stream ends.
func (s followServer) follow(id uuid.UUID, last string) *client {
	s.t.Helper()
	c := &client{
		t: s.t, res: s.connect(http.MethodGet, "alice", id, last), events: make(chan streamed, 1000),
		comments: make(chan string, 1000),
	}
	require.Equal(s.t, http.StatusOK, c.res.StatusCode)
	require.Equal(s.t, "text/event-stream;charset=utf-8", c.res.Header.Get("Content-Type"))
	go func() {
		defer close(c.events)
		var e streamed
		for lines := bufio.NewScanner(c.res.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ":")
			switch {
			case lines.Text() == "":
				if e.Event != "" {
					c.events <- e
				}
				e = streamed{}
			case name == "id":
				e.ID = value
			case name == "event":
				e.Event = value
			case name == "data":
				e.Data = value
			default:
				c.comments <- lines.Text()
			}
		}
	}()
	return c
}

// next returns the next event; ok is false if the stream has ended.
func (c *client) next() (e streamed, ok bool) {
	c.t.Helper()
	select {
	case e, ok = <-c.events:
		return e, ok
	case <-time.After(30 * time.Second):
		require.Fail(c.t, "no event comes")
		return e, false
	}
}

// expect requires the next events, as in "2 paid".
func (c *client) expect(events ...string) {
	c.t.Helper()
	for _, want := range events {
		e, ok := c.next()
		require.True(c.t, ok, "the stream ends before %q", want)
		require.Equal(c.t, want, strings.TrimSpace(e.ID+" "+e.Event))
	}
}

// TestFollowAnOrder: a client gets what is recorded, then what happens, for longer than an ordinary answer may take.
// Data is the entry as the timeline has it. When the order has ended, the stream ends with a word about that.
func TestFollowAnOrder(t *testing.T) {
	t.Parallel()
	s := startFollow(t, 10, quickPace)
	id := s.reserved()
	c := s.follow(id, "")
	c.expect("0 created")
	e, _ := c.next()
	require.Equal(t, []string{"1", "reserved"}, []string{e.ID, e.Event})
	var entry orderapi.TimelineEntry
	require.NoError(t, json.Unmarshal([]byte(e.Data), &entry))
	recorded, err := s.store.Timeline(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, wireEntry(recorded[1]), entry)

	require.Eventually(t, func() bool { return len(c.comments) > 20 }, 30*time.Second, time.Millisecond, "heartbeats")
	require.Regexp(t, `^retry: \d+$`, <-c.comments)
	s.record(id, 2, order.Reserved, order.Reserved, order.EventExtended, time.Now())
	c.expect("2 extended")
	s.record(id, 3, order.Reserved, order.Cancelled, order.EventCancelled, time.Now())
	s.record(id, 4, order.Cancelled, order.Cancelled, order.EventStockReleased, time.Now())
	c.expect("3 cancelled", "4 stock_released")
	e, _ = c.next()
	require.Equal(t, streamed{Event: "end", Data: `{"status":"cancelled"}`}, e)
	_, more := c.next()
	require.False(t, more)
	require.Equal(t, http.StatusNoContent, s.connect(http.MethodGet, "alice", id, "4").StatusCode)
	s.follow(id, "3").expect("4 stock_released", "end")
}

// TestResumption: a client that comes again gets what it has not seen, also if it has seen what is no longer there.
func TestResumption(t *testing.T) {
	t.Parallel()
	s := startFollow(t, 10, quickPace)
	id := s.reserved()
	s.record(id, 2, order.Reserved, order.Reserved, order.EventExtended, time.Now())
	s.follow(id, "0").expect("1 reserved", "2 extended")
	s.follow(id, "1").expect("2 extended")
	s.follow(id, "9").expect("0 created", "1 reserved", "2 extended")
	c := s.follow(id, "2")
	s.record(id, 3, order.Reserved, order.Reserved, order.EventExtended, time.Now())
	c.expect("3 extended")
}

// TestRewrittenEntries: a later execution of the workflow overwrites what a lost one has recorded. The client gets what
// the later one has recorded, from the first entry that differs.
func TestRewrittenEntries(t *testing.T) {
	t.Parallel()
	s := startFollow(t, 10, quickPace)
	id, now := s.reserved(), time.Now()
	s.record(id, 2, order.Reserved, order.Reserved, order.EventExtended, now.Add(time.Second))
	s.record(id, 3, order.Reserved, order.Reserved, order.EventExtended, now.Add(2*time.Second))
	c := s.follow(id, "")
	c.expect("0 created", "1 reserved", "2 extended", "3 extended")
	s.record(id, 2, order.Reserved, order.Reserved, order.EventExtended, now.Add(3*time.Second))
	c.expect("2 extended") // the same event, but the entry after it is gone
	s.record(id, 3, order.Reserved, order.Paying, order.EventPaymentStarted, now.Add(4*time.Second))
	c.expect("3 payment_started")
}

// TestWhatAClientGets covers each difference between what a client has and what is recorded.
func TestWhatAClientGets(t *testing.T) {
	t.Parallel()
	at := time.Now()
	entries := func(events ...string) (out []orderstore.TimelineEntry) {
		for seq, event := range events {
			out = append(out, orderstore.TimelineEntry{Seq: int64(seq), Event: order.Event(event), At: at})
		}
		return out
	}
	for _, c := range []struct {
		name  string
		has   []string
		now   []string
		gets  int // the first entry that is sent
		count int
	}{
		{"nothing new", []string{"a", "b"}, []string{"a", "b"}, 2, 0},
		{"one more", []string{"a"}, []string{"a", "b"}, 1, 1},
		{"the last was rewritten", []string{"a", "b"}, []string{"a", "c"}, 1, 1},
		{"one was rewritten, and later ones dropped", []string{"a", "b", "c"}, []string{"a", "d"}, 1, 1},
		{"the last was dropped", []string{"a", "b"}, []string{"a"}, 0, 1},
		{"everything was rewritten", []string{"a", "b"}, []string{"c", "d"}, 0, 2},
	} {
		v := clientView{known: true, entries: entries(c.has...)}
		require.Equal(t, entries(c.now...)[c.gets:], v.update(entries(c.now...)), c.name)
		require.Len(t, entries(c.now...)[c.gets:], c.count, c.name)
		require.Empty(t, v.update(entries(c.now...)), c.name)
	}
}

// TestWhoMayFollow: a customer may follow their own order, and gets 404 for another customer's order.
func TestWhoMayFollow(t *testing.T) {
	t.Parallel()
	s := startFollow(t, 10, quickPace)
	id := s.reserved()
	for _, c := range []struct {
		subject string
		id      uuid.UUID
		last    string
		status  int
	}{
		{"mallory", id, "", http.StatusNotFound},
		{"alice", uuid.New(), "", http.StatusNotFound},
		{"alice", id, "x", http.StatusBadRequest},
		{"alice", id, "-1", http.StatusBadRequest},
	} {
		require.Equal(t, c.status, s.connect(http.MethodGet, c.subject, c.id, c.last).StatusCode, c)
	}
	res := s.connect(http.MethodHead, "alice", id, "")
	require.Equal(t, http.StatusOK, res.StatusCode)
	s.awaitListeners(0)
}

// TestTooManyFollow: one more client than the limit gets 503, and a place is free when a client leaves.
func TestTooManyFollow(t *testing.T) {
	t.Parallel()
	s := startFollow(t, 1, quickPace)
	id := s.reserved()
	c := s.follow(id, "")
	c.expect("0 created")
	res := s.connect(http.MethodGet, "alice", id, "")
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.NotEmpty(t, res.Header.Get("Retry-After"))
	var p problem.Problem
	require.NoError(t, json.NewDecoder(res.Body).Decode(&p))
	require.Equal(t, problem.Unavailable, p.Code)
	require.NoError(t, c.res.Body.Close())
	s.awaitListeners(0)
	s.follow(id, "0").expect("1 reserved")
}

// TestDrain: when the process stops, every stream ends in order, and no other begins.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := startFollow(t, 10, quickPace)
	id := s.reserved()
	c := s.follow(id, "0")
	c.expect("1 reserved")
	s.hub.Stop()
	_, more := c.next()
	require.False(t, more)
	require.Equal(t, http.StatusServiceUnavailable, s.connect(http.MethodGet, "alice", id, "").StatusCode)
}

// TestOldStreamEnds: a stream ends after its time, so that the token of the next one is checked.
func TestOldStreamEnds(t *testing.T) {
	t.Parallel()
	p := quickPace
	p.age = 200 * time.Millisecond
	s := startFollow(t, 10, p)
	c := s.follow(s.reserved(), "0")
	c.expect("1 reserved")
	_, more := c.next()
	require.False(t, more)
}

// TestSlowReader: a client that takes nothing is cut off.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	s := startFollow(t, 10, quickPace)
	id := s.reserved()
	_, err := s.pool.Exec(t.Context(), `
		WITH entries AS (
			INSERT INTO order_timeline (order_id, seq, event, from_state, state, at, actor, reason)
			SELECT $1, seq, 'extended', 'reserved', 'reserved', now(), 'system', repeat('x', 100000)
			FROM generate_series(2, 200) seq
		)
		UPDATE orders SET seq = 200 WHERE order_id = $1`, id)
	require.NoError(t, err)

	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
	_, err = io.WriteString(conn, "GET /api/orders/"+id.String()+"/events HTTP/1.1\r\nHost: a\r\n"+
		servicetoken.Header+": "+authtest.Token(t, servicetoken.API, "alice", auth.Customer)+"\r\n\r\n")
	require.NoError(t, err)
	s.awaitListeners(1)
	s.awaitListeners(0)
}

// awaitListeners waits until the hub has n listeners.
func (s followServer) awaitListeners(n int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		families, err := s.gauge.Gather()
		require.NoError(s.t, err)
		return strconv.Itoa(n) == strconv.Itoa(int(families[0].GetMetric()[0].GetGauge().GetValue()))
	}, 30*time.Second, 2*time.Millisecond, "the number of listeners is not %d", n)
}
