package review_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/api/review"
	"holdfast/internal/address"
	"holdfast/internal/money"
	"holdfast/workflows/orderflow"
)

type history struct {
	paid    bool
	country string
	asked   int
}

func (h *history) PaidBefore(context.Context, string, string) (bool, string, error) {
	h.asked++
	return h.paid, h.country, nil
}

// TestRules: each rule names itself, and the database is asked only for the rules that need it.
func TestRules(t *testing.T) {
	t.Parallel()
	all := review.Config{
		Amounts:      map[string]string{"EUR": "500000"},
		FirstAmounts: map[string]string{"EUR": "100000", "JPY": "20000"},
		NewCountry:   true,
		Time:         time.Hour,
	}
	eur := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }
	const much = 1 << 40
	for name, c := range map[string]struct {
		config  review.Config
		total   money.Amount
		country string
		history history
		want    []string
		asked   int
	}{
		"no rule is set":         {review.Config{}, eur(much), "DE", history{}, nil, 0},
		"small, and paid before": {all, eur(99_999), "", history{paid: true}, nil, 0},
		"large":                  {all, eur(500_000), "", history{paid: true}, []string{"amount"}, 1},
		"the first order": {
			all, money.Amount{Minor: 20_000, Currency: "JPY"}, "", history{}, []string{"first_order"}, 1,
		},
		"a currency without a rule": {all, money.Amount{Minor: much, Currency: "KWD"}, "", history{}, nil, 0},
		"to another country":        {all, eur(1), "FR", history{true, "DE", 0}, []string{"new_country"}, 1},
		"to the same country":       {all, eur(1), "de", history{true, "DE", 0}, nil, 1},
		"all at once": {
			all, eur(500_000), "FR", history{false, "DE", 0}, []string{"amount", "first_order", "new_country"}, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := orderflow.OrderInput{Total: c.total}
			if c.country != "" {
				in.ShipTo = &address.Address{Country: c.country}
			}
			got, err := c.config.Of(t.Context(), &c.history, in)
			require.NoError(t, err)
			require.Equal(t, c.asked, c.history.asked)
			if c.want == nil {
				require.Nil(t, got)
				return
			}
			require.Equal(t, &orderflow.Review{Reasons: c.want, Seconds: 3600}, got)
		})
	}
}

// TestConfig: a rule that cannot be read stops the process at its start.
func TestConfig(t *testing.T) {
	t.Parallel()
	require.NoError(t, review.Config{Time: time.Hour}.Validate())
	for _, c := range []review.Config{
		{Time: 25 * time.Hour},
		{Time: time.Hour, Amounts: map[string]string{"EURO": "1"}},
		{Time: time.Hour, FirstAmounts: map[string]string{"EUR": "12.50"}},
	} {
		require.Error(t, c.Validate())
	}
}
