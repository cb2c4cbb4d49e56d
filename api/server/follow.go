package server

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-contrib/sse"
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/follow"
	"holdfast/api/orderapi"
	"holdfast/internal/httpx"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
)

// pace says how a stream of events behaves. The values are also in the contract.
type pace struct {
	heartbeat time.Duration // between two signs of life while nothing happens
	quiet     time.Duration // how long nothing more is recorded of an ended order before its stream ends
	age       time.Duration // after which a stream ends, so that the client's token is checked again
	patience  time.Duration // for the client to take what is sent
	retry     time.Duration // after which a client connects again, on average
}

var usualPace = pace{
	heartbeat: 15 * time.Second,
	quiet:     10 * time.Second,
	age:       15 * time.Minute,
	patience:  10 * time.Second,
	retry:     2 * time.Second,
}

// beforeAll is the Last-Event-ID of a client that has seen nothing: the first entry has seq 0.
const beforeAll = -1

// FollowOrder answers the timeline of an order as server-sent events, until the order has ended or the client leaves.
func (h *handlers) FollowOrder(c *gin.Context, id uuid.UUID, params orderapi.FollowOrderParams) {
	after := int64(beforeAll)
	if params.LastEventID != "" {
		var err error
		if after, err = strconv.ParseInt(params.LastEventID, 10, 64); err != nil { // the contract's pattern refuses it before
			httpx.Fail(c, problem.Invalid("Last-Event-ID", "send the id of the last event"))
			return
		}
	}
	row, ok := h.owned(c, id)
	if !ok {
		return
	}
	if row.State.Closed() && after >= row.Seq && time.Since(row.UpdatedAt) > h.pace.quiet {
		c.Status(http.StatusNoContent) // an EventSource does not connect again after this
		return
	}

	listener, err := h.hub.Listen(id)
	switch {
	case errors.Is(err, follow.ErrFull):
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable,
			"too many clients follow orders; read the order's timeline instead, or try again in a minute"))
		return
	case err != nil:
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable, "the service is stopping; connect again"))
		return
	}
	defer listener.Close()
	stream := newEventStream(c, h.pace)
	if httpx.IsHead(c.Request) {
		return
	}
	if err := stream.follow(listener, after); err != nil {
		h.log.DebugContext(c.Request.Context(), "a client has left its stream of events", "order_id", id, "error", err)
	}
}

// eventStream is an answer of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type eventStream struct {
	pace
	c          *gin.Context
	connection *http.ResponseController
}

// newEventStream writes the head of the answer. The deadlines of ordinary requests do not apply to it.
func newEventStream(c *gin.Context, p pace) *eventStream {
	s := &eventStream{pace: p, c: c, connection: http.NewResponseController(c.Writer)}
	_ = s.connection.SetReadDeadline(time.Time{}) // the error is that of a test's recorder, which has no deadlines
	c.Header("Content-Type", sse.ContentType)
	c.Header("Cache-Control", "no-store, no-transform") // a proxy that compresses would hold events back
	c.Header("X-Accel-Buffering", "no")
	c.Status(http.StatusOK)
	return s
}

// follow sends entries until the stream ends. An error says that the client takes no more.
func (s *eventStream) follow(l *follow.Listener, after int64) error {
	// After a restart, the clients do not all come back at once.
	retry := s.retry/2 + rand.N(s.retry) //nolint:gosec // it only spreads the clients
	if err := s.write("retry: " + strconv.FormatInt(retry.Milliseconds(), 10) + "\n\n"); err != nil {
		return err
	}
	heartbeat := time.NewTicker(s.heartbeat)
	defer heartbeat.Stop()
	oldest := time.NewTimer(s.age)
	defer oldest.Stop()
	ended := time.NewTimer(s.age) // set anew when the order has ended
	defer ended.Stop()

	client := clientView{after: after}
	for {
		select {
		case <-s.c.Request.Context().Done():
			return s.c.Request.Context().Err()
		case <-l.Stopping():
			return s.write(": the service stops; connect again\n\n")
		case <-oldest.C:
			return s.write(": connect again\n\n")
		case <-heartbeat.C:
			if err := s.write(":\n\n"); err != nil {
				return err
			}
		case <-ended.C:
			if now := l.Recorded(); now.State.Closed() {
				return s.send(sse.Event{Event: "end", Data: orderapi.OrderEnd{Status: orderapi.OrderStatus(now.State)}})
			}
		case <-l.Changed():
			now := l.Recorded()
			for _, e := range client.update(now.Entries) {
				event := sse.Event{Id: strconv.FormatInt(e.Seq, 10), Event: string(e.Event), Data: wireEntry(e)}
				if err := s.send(event); err != nil {
					return err
				}
			}
			if now.State.Closed() {
				ended.Reset(max(0, s.quiet-time.Since(now.Version.UpdatedAt)))
			}
		}
	}
}

func (s *eventStream) send(e sse.Event) error {
	return s.transmit(func(w io.Writer) error { return sse.Encode(w, e) })
}

func (s *eventStream) write(text string) error {
	return s.transmit(func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

// transmit sends what encode writes. A client that does not take it in time is cut off; it can connect again and go on.
func (s *eventStream) transmit(encode func(io.Writer) error) error {
	_ = s.connection.SetWriteDeadline(time.Now().Add(s.patience))
	if err := encode(s.c.Writer); err != nil {
		return err
	}
	return s.connection.Flush()
}

// clientView is what a client has of a timeline.
type clientView struct {
	after int64 // the Last-Event-ID with which the client came
	known bool  // entries is set
	// entries are those that the client has. They are a part of a timeline that listeners share.
	entries []orderstore.TimelineEntry
}

// update returns the entries to send, so that the client has the given timeline: those from the first on that the
// client does not have in this form. If a lost execution of the workflow had written entries, a later one has
// overwritten them. The client then gets them again, and drops what it has from the first of them on.
func (v *clientView) update(now []orderstore.TimelineEntry) []orderstore.TimelineEntry {
	if !v.known {
		v.known = true
		v.entries = now[:seen(now, v.after)]
	}
	same := 0
	for same < len(v.entries) && same < len(now) && isSame(v.entries[same], now[same]) {
		same++
	}
	if same > 0 && same == len(now) && same < len(v.entries) {
		same-- // entries were only deleted: the last that is left says so
	}
	v.entries = now
	return now[same:]
}

// seen returns how many entries a client has that has seen the entry with the given seq. If there is no such entry any
// more, the client has entries of a lost execution, and gets the whole timeline.
func seen(now []orderstore.TimelineEntry, after int64) int {
	for i, e := range now {
		if e.Seq == after {
			return i + 1
		}
	}
	return 0
}

func isSame(a, b orderstore.TimelineEntry) bool {
	return a.Seq == b.Seq && a.Event == b.Event && a.State == b.State && a.At.Equal(b.At)
}
