package stock

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/inventory/inventoryapi"
)

// drawAdministration makes a request by which an operator changes stock.
func drawAdministration(rt *rapid.T, w *world, op uuid.UUID, products []uuid.UUID) (anyRequest, error) {
	locations := []string{"near", "far", "new"}
	place := Place{
		ProductID: rapid.SampledFrom(products).Draw(rt, "product"),
		Location:  rapid.SampledFrom(locations).Draw(rt, "location"),
	}
	n := int64(rapid.IntRange(-4, 6).Draw(rt, "n"))
	var expect Expectation
	if rapid.IntRange(0, 3).Draw(rt, "expects") == 0 {
		v := w.book().version(place.ProductID) + int64(rapid.IntRange(0, 1).Draw(rt, "version"))
		expect.Version = &v
	}

	adjust := Adjust{OperationID: op, Place: place, Actor: "a", Reason: "r", Expect: expect}
	switch rapid.SampledFrom([]string{
		"adjust", "count", "row", "transfer", "threshold", "create", "delete",
	}).Draw(rt, "administration") {
	case "adjust":
		if n == 0 {
			n = 1
		}
		adjust.Delta = &n
		return checked(adjust)
	case "count":
		n = max(n, 0)
		adjust.Quantity = &n
		return checked(adjust)
	case "row":
		n = max(n, 0)
		adjust.Quantity, adjust.Expect = &n, Expectation{}
		threshold := int64(rapid.IntRange(0, 4).Draw(rt, "threshold"))
		return checked(Count{adjust, &threshold})
	case "transfer":
		to := rapid.SampledFrom(locations).Draw(rt, "to")
		if to == place.Location {
			to = map[string]string{"near": "far", "far": "new", "new": "near"}[to]
		}
		return checked(Transfer{
			OperationID: op,
			ProductID:   place.ProductID,
			From:        place.Location,
			To:          to,
			Quantity:    max(n, 1),
			Actor:       "a",
			Reason:      "r",
			Expect:      expect,
		})
	case "threshold":
		return checked(SetThreshold{
			ProductID: place.ProductID,
			Location:  rapid.SampledFrom([]string{"", place.Location}).Draw(rt, "where"),
			Threshold: max(n, 0),
			Actor:     "a",
			Expect:    expect,
		})
	case "create":
		return checked(CreateItem{Place: place, Actor: "a", Expect: expect})
	default:
		return checked(DeleteItem{OperationID: op, Place: place, Actor: "a", Reason: "r", Expect: expect})
	}
}

func checked[R interface {
	Request[T]
	Check() error
}, T any](r R) (anyRequest, error) {
	return untyped(r, r.Check())
}

// first returns an answer without the fields in which a repeated answer differs from the first.
func first(answer any) any {
	switch a := answer.(type) {
	case inventoryapi.StockChange:
		a.Replayed, a.Version = false, 0
		return a
	case inventoryapi.TransferResult:
		a.Replayed, a.Version = false, 0
		return a
	case inventoryapi.Item:
		a.Created = false
		return a
	case Counted:
		return Counted{}
	}
	return answer
}

// TestTwoWritersInOneBatch: of two requests that expect the same version, the second is refused, although one read
// decides both and the version moves once.
func TestTwoWritersInOneBatch(t *testing.T) {
	t.Parallel()
	p, five := uuid.UUID{1}, int64(5)
	b := NewBook(time.Time{}, []Item{
		{ID: 1, ProductID: p, Location: "near", Quantity: 9, Version: 3},
		{ID: 2, ProductID: p, Location: "far", Version: 2, Deleted: true},
	}, nil, nil)
	write := func(n byte, x Expectation) error {
		one := int64(-1)
		_, err := Decide(b, Adjust{
			OperationID: uuid.UUID{n},
			Place:       Place{p, "near"},
			Delta:       &one,
			Actor:       "a",
			Reason:      "r",
			Expect:      x,
		})
		return err
	}
	match := func(versions ...int64) Expectation {
		return Expectation{Match: inventoryapi.IfMatch{Given: true, Versions: versions}}
	}

	require.NoError(t, write(1, Expectation{Version: &five}))
	require.ErrorIs(t, write(2, Expectation{Version: &five}), inventoryapi.VersionConflict)
	require.ErrorIs(t, write(3, match(5)), inventoryapi.PreconditionFailed)
	require.NoError(t, write(1, Expectation{Version: &five}), "the first, again")
	require.NoError(t, write(4, match(1, 6)))

	c := b.Changes()
	require.Len(t, c.Items, 1)
	require.EqualValues(t, 7, c.Items[0].Quantity)
	require.Len(t, c.Events, 1, "both are one event")
	require.Equal(t, inventoryapi.AdjustedEvent{
		ProductID: p,
		Location:  "near",
		Quantity:  -2,
		Stock:     inventoryapi.Stock{Quantity: 7, Available: 7, Version: 4},
		Operations: []inventoryapi.ReceiptInfo{
			{OperationID: uuid.UUID{1}, Quantity: -1},
			{OperationID: uuid.UUID{4}, Quantity: -1},
		},
	}, c.Events[0].Data)
}

// TestLevels: an item that ran out or low within a batch is announced once. The level that is written decides, not the
// levels in between.
func TestLevels(t *testing.T) {
	t.Parallel()
	p := uuid.UUID{1}
	newBook := func() *Book {
		return NewBook(time.Time{}, []Item{{
			ID:        1,
			ProductID: p,
			Location:  "near",
			Quantity:  10,
			Threshold: 5,
			Version:   7,
		}}, nil, nil)
	}

	for _, c := range []struct {
		name   string
		deltas []int64
		want   []string
	}{
		{"neither", []int64{-1}, nil},
		{"low", []int64{-4, -1}, []string{inventoryapi.EventLowStock}},
		{"out", []int64{-5, -5}, []string{inventoryapi.EventDepleted, inventoryapi.EventLowStock}},
		{"out and back", []int64{-10, 8}, nil},
		{"out and back below threshold", []int64{-10, 1}, []string{inventoryapi.EventLowStock}},
	} {
		b := newBook()
		for i, n := range c.deltas {
			_, err := Decide(b, Adjust{
				OperationID: uuid.UUID{byte(i + 1)},
				Place:       Place{p, "near"},
				Delta:       &n,
				Actor:       "a",
				Reason:      "r",
			})
			require.NoError(t, err)
		}

		var got []string
		for _, e := range b.Changes().Events {
			require.EqualValues(t, 8, e.Version)
			if e.Type != inventoryapi.EventAdjusted {
				got = append(got, e.Type)
				require.Equal(t, p, e.Data.(inventoryapi.LevelEvent).ProductID)
			}
		}
		require.Equal(t, c.want, got, c.name)
	}

	b := newBook()
	_, err := Decide(b, SetThreshold{ProductID: p, Threshold: 12, Actor: "a"})
	require.NoError(t, err)
	events := b.Changes().Events
	require.Len(t, events, 1, "a threshold that is raised above the stock makes it low")
	require.Equal(t, inventoryapi.EventLowStock, events[0].Type)
}
