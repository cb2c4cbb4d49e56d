package money_test

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/internal/money"
)

func TestString(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]money.Amount{
		"12.30 EUR": {Minor: 1230, Currency: "EUR"}, "0.05 EUR": {Minor: 5, Currency: "EUR"}, "-0.05 EUR": {Minor: -5, Currency: "EUR"},
		"500 JPY": {Minor: 500, Currency: "JPY"}, "1.234 KWD": {Minor: 1234, Currency: "KWD"},
		"-92233720368547758.08 EUR": {Minor: -1 << 63, Currency: "EUR"},
	} {
		require.Equal(t, want, a.String())
	}
	_, err := money.Amount{Currency: "EUR"}.Add(money.Amount{Currency: "USD"})
	require.ErrorIs(t, err, money.ErrCurrencyMismatch)
}

// TestArithmetic holds sums and products to arithmetic without bounds: right, or refused.
func TestArithmetic(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		a, b := rapid.Int64().Draw(r, "a"), rapid.Int64().Draw(r, "b")
		check := func(got money.Amount, err error, want *big.Int) {
			if want.IsInt64() {
				require.NoError(r, err)
				require.Equal(r, want.Int64(), got.Minor)
			} else {
				require.ErrorIs(r, err, money.ErrOverflow)
			}
		}
		x := money.Amount{Minor: a, Currency: "EUR"}
		sum, err := x.Add(money.Amount{Minor: b, Currency: "EUR"})
		check(sum, err, new(big.Int).Add(big.NewInt(a), big.NewInt(b)))
		if b >= 0 {
			product, err := x.Times(b)
			check(product, err, new(big.Int).Mul(big.NewInt(a), big.NewInt(b)))
		}
	})
}
