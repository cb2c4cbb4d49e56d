package outbox

import (
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestPublishInOrder: a wave has one event of each aggregate, in the order of versions, and an event that fails stops
// its aggregate and no other.
func TestPublishInOrder(t *testing.T) {
	t.Parallel()
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	leased := []Event{
		{AggregateID: a, AggregateVersion: 3, Type: "x"},
		{AggregateID: b, AggregateVersion: 7, Type: "y"},
		{AggregateID: a, AggregateVersion: 1, Type: "x"},
		{AggregateID: b, AggregateVersion: 7, Type: "x"},
		{AggregateID: c, AggregateVersion: 1, Type: "x"},
		{AggregateID: a, AggregateVersion: 2, Type: "x"},
	}
	refused := errors.New("refused")

	var sent [][]Event
	results := publishInOrder(leased, func(wave []Event) []error {
		sent = append(sent, wave)
		out := make([]error, len(wave))
		for i, e := range wave {
			if e.AggregateID == a && e.AggregateVersion == 2 {
				out[i] = refused
			}
		}
		return out
	})

	require.Len(t, sent, 2, "version 3 of a is not tried")
	require.ElementsMatch(t, []Event{leased[2], leased[3], leased[4]}, sent[0])
	require.ElementsMatch(t, []Event{leased[5], leased[1]}, sent[1])
	require.Equal(t, []error{errBehind, nil, nil, nil, nil, refused}, results)
}
