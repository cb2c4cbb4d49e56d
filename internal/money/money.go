// Package money does arithmetic on amounts in minor units and refuses to overflow. It is pure and
// deterministic, so workflows may use it.
package money

import (
	"errors"
	"fmt"
	"math"
	"strings"
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
)

// exponents gives the number of decimal places of the currencies we sell in (ISO 4217, list one).
var exponents = map[string]int{
	"AUD": 2, "BHD": 3, "BRL": 2, "CAD": 2, "CHF": 2, "CNY": 2, "CZK": 2, "DKK": 2, "EUR": 2, "GBP": 2,
	"HKD": 2, "HUF": 2, "INR": 2, "JPY": 0, "KRW": 0, "KWD": 3, "MXN": 2, "NOK": 2, "NZD": 2, "PLN": 2,
	"RON": 2, "SEK": 2, "SGD": 2, "TND": 3, "TRY": 2, "USD": 2, "ZAR": 2,
}

// Exponent returns the number of decimal places of a currency.
func Exponent(currency string) (int, error) {
	e, ok := exponents[currency]
	if !ok {
		return 0, fmt.Errorf("%w %q", ErrUnknownCurrency, currency)
	}
	return e, nil
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
