package e2e

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/tests/platform"
)

// stream reads the events of an order through the gateway.
type stream struct {
	t      *testing.T
	events chan string // as in "2 paid"; closed at the end of the stream
	status int
}

func follow(p *platform.Platform, order, last string) *stream {
	p.T.Helper()
	t, ok := p.T.(*testing.T)
	require.True(p.T, ok)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Gateway+"/api/orders/"+order+"/events", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+p.Token("alice", auth.Customer))
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	s := &stream{t: t, events: make(chan string, 100), status: res.StatusCode}
	go func() {
		defer close(s.events)
		var id, event string
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ":")
			switch {
			case name == "id":
				id = value
			case name == "event":
				event = value
			case lines.Text() == "" && event != "":
				s.events <- strings.TrimSpace(id + " " + event)
				id, event = "", ""
			}
		}
	}()
	return s
}

// until reads until an event of the given name, and returns what came.
func (s *stream) until(event string) (seen []string) {
	s.t.Helper()
	timeout := time.After(60 * time.Second)
	for {
		select {
		case e, ok := <-s.events:
			require.True(s.t, ok, "the stream ended before %q: %v", event, seen)
			seen = append(seen, e)
			if strings.HasSuffix(e, event) {
				return seen
			}
		case <-timeout:
			require.Fail(s.t, "an event does not come", "%q; seen: %v", event, seen)
		}
	}
}

// ended waits for the end of the stream.
func (s *stream) ended() {
	s.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case _, ok := <-s.events:
			if !ok {
				return
			}
		case <-timeout:
			require.Fail(s.t, "the stream does not end")
		}
	}
}

// TestFollowThroughTheGateway: a customer follows an order to its end. Restarts of the api and of the gateway end the
// stream in order, and the customer goes on after the last event without a gap.
func TestFollowThroughTheGateway(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	id := p.Place("alice", http.StatusCreated, platform.OneLine(p.Product(5), 1)).Str("order_id")
	first := follow(p, id, "")
	require.Equal(t, http.StatusOK, first.status)
	require.Equal(t, []string{"0 created", "1 reserved"}, first.until("reserved"))

	require.Equal(t, http.StatusOK, p.Act("alice", id, "extend", map[string]int{"ttl_seconds": 1200}).Status)
	require.Equal(t, []string{"2 extended"}, first.until("extended"))
	require.Less(t, p.Process("api").Stop(), 10*time.Second, "a stream does not keep the api from stopping")
	first.ended()
	p.Start("api")

	second := follow(p, id, "2")
	require.Equal(t, http.StatusOK, p.Act("alice", id, "extend", map[string]int{"ttl_seconds": 1800}).Status)
	require.Equal(t, []string{"3 extended"}, second.until("extended"))
	require.Less(t, p.Process("gateway").Stop(), 10*time.Second, "nor the gateway")
	second.ended()
	p.Start("gateway")

	require.Equal(t, http.StatusOK, p.Act("alice", id, "cancel", map[string]string{"reason": "no"}).Status)
	third := follow(p, id, "3")
	seen := third.until("end")
	require.Regexp(t, `^4 stock_released 5 cancelled( .*)? end$`, strings.Join(seen, " "))
	third.ended()
	last, _, _ := strings.Cut(seen[len(seen)-2], " ")
	require.Equal(t, http.StatusNoContent, follow(p, id, last).status)
}
