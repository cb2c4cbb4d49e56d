package groupcommit_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/groupcommit"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// panicking is a request whose rule panics: its embedded request is nil.
type panicking struct {
	stock.Request[inventoryapi.Reservation]
	product uuid.UUID
}

func (panicking) Kind() string { return "panicking" }

func (panicking) TellsVersion() bool { return false }

func (p panicking) Reads(reads *stock.Reads) { reads.Products = append(reads.Products, p.product) }

// If one request of a batch is at fault, and the database or a panic shows this only after the committer has decided it
// together with a hundred others, the committer refuses that request and commits the others.
func TestOneFaultInABatchFailsAlone(t *testing.T) {
	t.Parallel()
	const good = 100
	s := inventorytest.NewService(t)
	_, err := s.Pool.Exec(t.Context(),
		"ALTER TABLE reservations ADD CONSTRAINT no_such_workflow CHECK (workflow_id <> 'at fault')")
	require.NoError(t, err)
	w := groupcommit.New(groupcommit.Options{Store: store.New(s.Pool)})
	t.Cleanup(w.Close)

	for _, c := range []struct {
		name    string
		request func(product uuid.UUID) stock.Request[inventoryapi.Reservation]
		refusal func(t *testing.T, err error)
	}{
		{
			name: "an operation id that another operation used",
			request: func(product uuid.UUID) stock.Request[inventoryapi.Reservation] {
				before := inventorytest.NewReserve(inventorytest.Line(product, 1))
				_, err := s.API.Reserve(t.Context(), before)
				require.NoError(t, err)
				in := inventorytest.NewReserve(inventorytest.Line(product, 1))
				in.OperationID = before.OperationID
				return inventorytest.StockReserve(t, in)
			},
			refusal: func(t *testing.T, err error) { require.ErrorIs(t, err, inventoryapi.AlreadyExists) },
		},
		{
			name: "a constraint that no rule knows",
			request: func(product uuid.UUID) stock.Request[inventoryapi.Reservation] {
				in := inventorytest.NewReserve(inventorytest.Line(product, 1))
				in.WorkflowID = "at fault"
				return inventorytest.StockReserve(t, in)
			},
			refusal: func(t *testing.T, err error) { require.ErrorContains(t, err, "no_such_workflow") },
		},
		{
			name: "a rule that panics",
			request: func(product uuid.UUID) stock.Request[inventoryapi.Reservation] {
				return panicking{product: product}
			},
			refusal: func(t *testing.T, err error) { require.ErrorContains(t, err, "panic") },
		},
	} {
		for _, at := range []int{0, 37, good} {
			t.Run(c.name, func(t *testing.T) {
				product := s.Stock(t, good+10)
				bad := c.request(product)
				_, before := s.Available(t, product)
				_, requests := inventorytest.NewReserves(t, product, good)
				requests = slices.Insert(requests, at, bad)

				answers := groupcommit.Apply(t.Context(), w, requests...)

				for i, a := range answers {
					if i == at {
						c.refusal(t, a.Err)
						continue
					}
					require.NoError(t, a.Err, "request %d", i)
				}
				_, reserved := s.Available(t, product)
				require.EqualValues(t, good, reserved-before)
			})
		}
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// A dry run answers each request as Apply would, a fault included, and writes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	w := groupcommit.New(groupcommit.Options{Store: store.New(s.Pool)})
	t.Cleanup(w.Close)
	product := s.Stock(t, 2)
	_, requests := inventorytest.NewReserves(t, product, 3)
	requests = append([]stock.Request[inventoryapi.Reservation]{panicking{product: product}}, requests...)

	answers, err := groupcommit.DryRun(t.Context(), w, requests...)

	require.NoError(t, err)
	require.Len(t, answers, 4)
	require.ErrorContains(t, answers[0].Err, "panic")
	_, reserved := s.Available(t, product)
	require.Zero(t, reserved)
}
