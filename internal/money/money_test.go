package money_test

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/internal/money"
)

func TestString(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]money.Amount{
		"12.30 EUR":                 {Minor: 1230, Currency: "EUR"},
		"0.05 EUR":                  {Minor: 5, Currency: "EUR"},
		"-0.05 EUR":                 {Minor: -5, Currency: "EUR"},
		"500 JPY":                   {Minor: 500, Currency: "JPY"},
		"1.234 KWD":                 {Minor: 1234, Currency: "KWD"},
		"-92233720368547758.08 EUR": {Minor: -1 << 63, Currency: "EUR"},
	} {
		require.Equal(t, want, a.String())
	}
	_, err := money.Amount{Currency: "EUR"}.Add(money.Amount{Currency: "USD"})
	require.ErrorIs(t, err, money.ErrCurrencyMismatch)
}

// TestArithmetic compares sums and products with arithmetic without bounds: they are right, or ErrOverflow.
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

// TestSplit: the parts of an amount add up to it, none is further than one minor unit from its exact share, and a part
// with a greater weight is not smaller.
func TestSplit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		a := money.Amount{Minor: rapid.Int64Range(0, math.MaxInt64).Draw(r, "amount"), Currency: "EUR"}
		weights := rapid.SliceOfN(rapid.Int64Range(0, math.MaxInt64/10), 1, 10).Draw(r, "weights")
		sum := new(big.Int)
		for _, w := range weights {
			sum.Add(sum, big.NewInt(w))
		}
		parts, err := a.Split(weights)
		if sum.Sign() == 0 {
			require.ErrorIs(r, err, money.ErrOverflow)
			return
		}

		require.NoError(r, err)
		total := money.Amount{Currency: "EUR"}
		for i, part := range parts {
			total, err = total.Add(part)
			require.NoError(r, err)
			exact := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(a.Minor), big.NewInt(weights[i])), sum)
			off := new(big.Rat).Sub(new(big.Rat).SetInt64(part.Minor), exact)
			require.Negative(r, off.Abs(off).Cmp(big.NewRat(1, 1)))
			for j := range parts[:i] {
				if weights[j] > weights[i] {
					require.GreaterOrEqual(r, parts[j].Minor, part.Minor)
				}
			}
		}
		require.Equal(r, a, total)
	})
}

// TestSplitByHand: currencies without decimal places, and with three, are split in their own minor units.
func TestSplitByHand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		amount  money.Amount
		weights []int64
		want    []int64
	}{
		{money.Amount{Minor: 100, Currency: "EUR"}, []int64{1, 1, 1}, []int64{34, 33, 33}},
		{money.Amount{Minor: 100, Currency: "JPY"}, []int64{3, 3, 1}, []int64{43, 43, 14}},
		{money.Amount{Minor: 1001, Currency: "KWD"}, []int64{2, 1}, []int64{667, 334}},
		{money.Amount{Minor: 1, Currency: "EUR"}, []int64{0, 5, 0}, []int64{0, 1, 0}},
		{money.Amount{Minor: 0, Currency: "EUR"}, []int64{7, 5}, []int64{0, 0}},
	} {
		parts, err := c.amount.Split(c.weights)
		require.NoError(t, err)
		for i, part := range parts {
			require.Equal(t, money.Amount{Minor: c.want[i], Currency: c.amount.Currency}, part)
		}
	}
	for _, weights := range [][]int64{{}, {0, 0}, {-1, 5}, {math.MaxInt64, 1}} {
		_, err := money.Amount{Minor: 5, Currency: "EUR"}.Split(weights)
		require.ErrorIs(t, err, money.ErrOverflow)
	}
}

// TestParse: Parse reads amounts that String writes, and refuses texts that may mean another amount.
func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]money.Amount{
		"14.90":  {Minor: 1490, Currency: "EUR"},
		"14.9":   {Minor: 1490, Currency: "EUR"},
		"14":     {Minor: 1400, Currency: "EUR"},
		"0":      {Minor: 0, Currency: "EUR"},
		"0.01":   {Minor: 1, Currency: "EUR"},
		"007":    {Minor: 700, Currency: "EUR"},
		"1500":   {Minor: 1500, Currency: "JPY"},
		"1.234":  {Minor: 1234, Currency: "KWD"},
		"990":    {Minor: 990, Currency: "CLP"},
		"0.0001": {Minor: 1, Currency: "CLF"},
	} {
		got, err := money.Parse(text, want.Currency)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
		again, err := money.Parse(strings.TrimSuffix(got.String(), " "+got.Currency), got.Currency)
		require.NoError(t, err)
		require.Equal(t, got, again)
	}

	for _, text := range []string{
		"", ".", ".5", "5.", "-1", "+1", "1,50", "1.234,50", "1e3", "€1", "1.234", "\u00201", "1.2.3", "1_000",
	} {
		_, err := money.Parse(text, "EUR")
		require.ErrorIs(t, err, money.ErrMalformed, text)
	}
	_, err := money.Parse("99999999999999999999", "EUR")
	require.ErrorIs(t, err, money.ErrOverflow)
	_, err = money.Parse("1", "QQQ")
	require.ErrorIs(t, err, money.ErrUnknownCurrency)
}

// activeCurrencies is ISO 4217's list one as of 2026-01-01, by the number of decimal places. The library's table must
// have the same codes. An amendment of the standard needs a change here and an upgrade of the library.
var activeCurrencies = map[int]string{
	0: `BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF`,
	2: `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY
		COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS
		INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR
		MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP
		STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG`,
	3: `BHD IQD JOD KWD LYD OMR TND`,
	4: `CLF UYW`,
}

// TestExponents compares every code of three capital letters with ISO's list: active codes have their decimal places,
// and all others are refused, also codes without a minor unit (XAU, XDR, XXX) and withdrawn codes (HRK, BGN).
func TestExponents(t *testing.T) {
	t.Parallel()
	want := map[string]int{}
	for exponent, codes := range activeCurrencies {
		for code := range strings.FieldsSeq(codes) {
			want[code] = exponent
		}
	}
	require.Len(t, want, 165)

	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			for c := 'A'; c <= 'Z'; c++ {
				code := string([]rune{a, b, c})
				got, err := money.Exponent(code)
				if exponent, active := want[code]; active {
					require.NoError(t, err, code)
					require.Equal(t, exponent, got, code)
				} else {
					require.ErrorIs(t, err, money.ErrUnknownCurrency, code)
				}
			}
		}
	}
	for _, code := range []string{"", "eur", "EU", "EURO", " EUR", "978"} {
		_, err := money.Exponent(code)
		require.ErrorIs(t, err, money.ErrUnknownCurrency, code)
	}
}
