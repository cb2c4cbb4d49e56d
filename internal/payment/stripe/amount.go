package stripe

import (
	"math"
	"strings"

	stripego "github.com/stripe/stripe-go/v85"

	"holdfast/internal/money"
)

// amount is an amount as Stripe counts it.
type amount struct {
	units    int64
	currency string // lower case
}

// scale says how Stripe's unit of a currency differs from ISO 4217's minor unit: Stripe's units are the minor units
// times multiply, divided by divide. An amount that does not come out whole cannot be charged, nor one that is no
// multiple of step. Source: docs.stripe.com/currencies, "zero-decimal", "three-decimal" and "special cases".
type scale struct{ multiply, divide, step int64 }

var scales = map[string]scale{
	"MGA": {1, 100, 1}, // ISO 4217 has two decimal places, Stripe none
	"ISK": {100, 1, 1}, // the other way round
	"BHD": {1, 1, 10},
	"JOD": {1, 1, 10},
	"KWD": {1, 1, 10},
	"OMR": {1, 1, 10},
	"TND": {1, 1, 10},
}

// refusedCurrencies are those whose unit at Stripe is not verified: a wrong one charges a hundred times too much.
var refusedCurrencies = map[string]bool{"UGX": true}

func scaleOf(currency string) scale {
	if s, special := scales[currency]; special {
		return s
	}
	return scale{1, 1, 1}
}

// toStripe returns false if Stripe cannot charge the amount.
func toStripe(a money.Amount) (amount, bool) {
	s := scaleOf(a.Currency)
	_, err := money.Exponent(a.Currency)
	if err != nil || refusedCurrencies[a.Currency] || a.Minor < 0 ||
		a.Minor > math.MaxInt64/s.multiply || a.Minor%s.divide != 0 || a.Minor%s.step != 0 {
		return amount{}, false
	}
	return amount{units: a.Minor * s.multiply / s.divide, currency: strings.ToLower(a.Currency)}, true
}

// fromStripe returns an amount that Stripe answers in minor units.
func fromStripe(units int64, currency stripego.Currency) money.Amount {
	code := strings.ToUpper(string(currency))
	s := scaleOf(code)
	return money.Amount{Minor: units * s.divide / s.multiply, Currency: code}
}
