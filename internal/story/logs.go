package story

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"holdfast/api/orderapi"
	"holdfast/workflows/orderflow"
)

// maxLine bounds a line of a log, in bytes. A longer one is skipped.
const maxLine = 1 << 20

// Logs are the log lines of our processes.
type Logs struct{ lines []line }

// line is one line of a log: its members as they were written.
type line map[string]any

// Read adds the lines of a log. It skips what is no JSON object, and lines at debug level.
func (l *Logs) Read(r io.Reader) error {
	lines := bufio.NewReaderSize(r, maxLine)
	for {
		raw, err := lines.ReadSlice('\n')
		var parsed line
		if json.Unmarshal(raw, &parsed) == nil && parsed.text("level") != "DEBUG" {
			l.lines = append(l.lines, parsed)
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil && err != bufio.ErrBufferFull: //nolint:errorlint // ReadSlice returns this very value
			return fmt.Errorf("read a log: %w", err)
		}
	}
}

// About returns the lines about an order, and the ids of their traces. Lines that name the order lead to the requests
// that acted on it, and these to the lines that name only the request.
func (l *Logs) About(o orderapi.Order) (entries []Entry, traces []string) {
	requests, ids := map[string]bool{}, map[string]bool{}
	for _, line := range l.lines {
		if id := line.text("correlation_id"); id != "" && line.names(o) {
			requests[id] = true
		}
	}
	for _, line := range l.lines {
		if !line.names(o) && (!requests[line.text("correlation_id")] || line.namesAnother(o)) {
			continue
		}
		if id := line.text("trace_id"); id != "" {
			ids[id] = true
		}
		entries = append(entries, line.entry())
	}
	return entries, slices.Sorted(maps.Keys(ids))
}

func (l line) text(name string) string {
	text, _ := l[name].(string)
	return text
}

// names reports whether the line names the order.
func (l line) names(o orderapi.Order) bool {
	id := o.OrderID.String()
	return l.text("order_id") == id || l.text("aggregate_id") == id ||
		o.Number != "" && l.text("order_number") == o.Number ||
		l.text("workflow_id") == orderflow.OrderWorkflowID(o.OrderID) || strings.Contains(l.text("path"), id)
}

// namesAnother reports whether the line is about another order.
func (l line) namesAnother(o orderapi.Order) bool {
	id := l.text("order_id")
	return id != "" && id != o.OrderID.String()
}

// shownElsewhere are the members that an entry has outside its detail, or that all lines of a story have alike.
var shownElsewhere = []string{
	"time", "level", "msg", "service", "trace_id", "order_id", "order_number", "workflow_id", "run_id",
}

// entry returns the line as an entry of a story.
func (l line) entry() Entry {
	at, _ := time.Parse(time.RFC3339Nano, l.text("time"))
	out := Entry{At: at, Source: l.text("service"), What: l.text("msg")}
	if level := l.text("level"); level != "INFO" {
		out.What = level + " " + out.What
	}
	if strings.HasPrefix(l.text("msg"), "event ") {
		out.Source = "event"
	}
	var detail []string
	for _, name := range slices.Sorted(maps.Keys(l)) {
		if value := fmt.Sprint(l[name]); !slices.Contains(shownElsewhere, name) && value != "" && value != "[]" &&
			value != "<nil>" {
			detail = append(detail, name+"="+value)
		}
	}
	out.Detail = strings.Join(detail, " ")
	return out
}
