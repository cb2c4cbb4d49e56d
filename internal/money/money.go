// Package money does arithmetic on amounts in minor units and returns an error instead of an overflow. It is pure and
// deterministic, so workflows may use it.
package money

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/bojanz/currency"
)

// Amount is a sum of money: an integer number of the currency's minor units (cents for EUR, yen for JPY).
type Amount struct {
	Minor    int64  `json:"amount_minor"`
	Currency string `json:"currency"` // ISO 4217, upper case
}

// Errors of arithmetic.
var (
	ErrOverflow         = errors.New("the amount is too large")
	ErrCurrencyMismatch = errors.New("the currencies differ")
	ErrUnknownCurrency  = errors.New("unknown currency")
	ErrMalformed        = errors.New("not an amount")
)

// Exponent returns the number of decimal places of a currency, by ISO 4217. It knows all active codes of list one, fund
// codes included. For a code without a minor unit, such as XAU or XXX, it returns ErrUnknownCurrency.
func Exponent(code string) (int, error) {
	digits, ok := currency.GetDigits(code)
	if !ok {
		return 0, fmt.Errorf("%w %q", ErrUnknownCurrency, code)
	}
	return int(digits), nil
}

// Add returns a + b.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, fmt.Errorf("add %s to %s: %w", b.Currency, a.Currency, ErrCurrencyMismatch)
	}
	if (b.Minor > 0 && a.Minor > math.MaxInt64-b.Minor) || (b.Minor < 0 && a.Minor < math.MinInt64-b.Minor) {
		return Amount{}, ErrOverflow
	}
	return Amount{a.Minor + b.Minor, a.Currency}, nil
}

// Times returns a × n for n ≥ 0.
func (a Amount) Times(n int64) (Amount, error) {
	if n < 0 || (n != 0 && (a.Minor > math.MaxInt64/n || a.Minor < math.MinInt64/n)) {
		return Amount{}, ErrOverflow
	}
	return Amount{a.Minor * n, a.Currency}, nil
}

// Split divides an amount in proportion to weights, of which none is negative and not all are 0. The parts add up to
// the amount: each is rounded down, and what is left over goes in single minor units to those that lost most by that,
// the earlier of two equal ones first (the largest remainder method). For an amount below 0, or weights whose sum is 0
// or more than 2⁶³-1, Split returns ErrOverflow.
func (a Amount) Split(weights []int64) ([]Amount, error) {
	var sum uint64
	for _, w := range weights {
		if sum += uint64(w); w < 0 || sum > math.MaxInt64 { //nolint:gosec // a negative weight is an error
			return nil, ErrOverflow
		}
	}
	if a.Minor < 0 || sum == 0 {
		return nil, ErrOverflow
	}
	parts := make([]Amount, len(weights))
	lost := make([]uint64, len(weights)) // by rounding, in minor units × sum
	byLoss := make([]int, len(weights))
	left := a.Minor
	for i, w := range weights {
		high, low := bits.Mul64(uint64(a.Minor), uint64(w)) //nolint:gosec // neither is negative
		part, remainder := bits.Div64(high, low, sum)       // w <= sum, so that the part is at most the amount
		parts[i] = Amount{int64(part), a.Currency}          //nolint:gosec // at most the amount
		lost[i], byLoss[i] = remainder, i
		left -= parts[i].Minor
	}
	slices.SortStableFunc(byLoss, func(i, j int) int { return cmp.Compare(lost[j], lost[i]) })
	for _, i := range byLoss[:left] {
		parts[i].Minor++
	}
	return parts, nil
}

// String writes the amount for people, as in "12.30 EUR".
func (a Amount) String() string {
	exp, err := Exponent(a.Currency)
	if err != nil || exp == 0 {
		return fmt.Sprintf("%d %s", a.Minor, a.Currency)
	}
	sign, minor := "", uint64(a.Minor) //nolint:gosec // the sign is taken off below, also of the least integer
	if a.Minor < 0 {
		sign, minor = "-", -minor
	}
	digits := fmt.Sprintf("%0*d", exp+1, minor)
	point := len(digits) - exp
	return strings.Join([]string{sign, digits[:point], ".", digits[point:], " ", a.Currency}, "")
}

// Parse reads an amount as people write it, as in 12.30 for 1230 minor units of EUR: digits, and after a point at most
// as many as the currency has. For any other text, also with a sign, a comma or a currency's symbol, it returns
// ErrMalformed.
func Parse(text, currency string) (Amount, error) {
	exp, err := Exponent(currency)
	if err != nil {
		return Amount{}, err
	}
	whole, fraction, point := strings.Cut(text, ".")
	if whole == "" || (point && fraction == "") || strings.Trim(whole+fraction, "0123456789") != "" {
		example := strings.TrimSuffix(Amount{1499, currency}.String(), " "+currency)
		return Amount{}, fmt.Errorf("%w: %q; write digits, as in %s", ErrMalformed, text, example)
	}
	if len(fraction) > exp {
		return Amount{}, fmt.Errorf("%w: %q has more than the %d decimal places of %s", ErrMalformed, text, exp, currency)
	}
	minor, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", exp-len(fraction)), 10, 64)
	if err != nil {
		return Amount{}, fmt.Errorf("%w: %s", ErrOverflow, text)
	}
	return Amount{minor, currency}, nil
}
