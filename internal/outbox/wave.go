package outbox

import (
	"cmp"
	"errors"
	"slices"

	"github.com/google/uuid"
)

// errBehind is the result of an event behind one of the same aggregate that was not published.
var errBehind = errors.New("an earlier event of the aggregate is not published")

// waves puts leased events into the order in which they may leave. A wave has at most one event of each aggregate, and
// has it only if the earlier ones are in earlier waves. Each number is an index of leased.
func waves(leased []Event) [][]int {
	order := make([]int, len(leased))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := leased[i], leased[j]
		return cmp.Or(cmp.Compare(a.AggregateVersion, b.AggregateVersion), cmp.Compare(a.Type, b.Type))
	})

	var out [][]int
	next := map[uuid.UUID]int{} // the wave of an aggregate's next event
	for _, i := range order {
		wave := next[leased[i].AggregateID]
		next[leased[i].AggregateID] = wave + 1
		if wave == len(out) {
			out = append(out, nil)
		}
		out[wave] = append(out[wave], i)
	}
	for _, wave := range out {
		slices.SortFunc(wave, func(i, j int) int { return leased[i].CreatedAt.Compare(leased[j].CreatedAt) })
	}
	return out
}

// publishInOrder publishes leased events, wave after wave. A wave begins when each event of the one before is confirmed
// or has failed, so no event leaves before the earlier ones of its aggregate are confirmed. When an event fails, the
// later ones of its aggregate are not published. publish and publishInOrder return one result per event.
func publishInOrder(leased []Event, publish func([]Event) []error) []error {
	results := make([]error, len(leased))
	stopped := map[uuid.UUID]bool{} // aggregates of which an event has failed
	for _, wave := range waves(leased) {
		var indexes []int
		var batch []Event
		for _, i := range wave {
			if stopped[leased[i].AggregateID] {
				results[i] = errBehind
				continue
			}
			indexes, batch = append(indexes, i), append(batch, leased[i])
		}
		if len(batch) == 0 {
			continue
		}
		for n, err := range publish(batch) {
			results[indexes[n]] = err
			if err != nil {
				stopped[batch[n].AggregateID] = true
			}
		}
	}
	return results
}
