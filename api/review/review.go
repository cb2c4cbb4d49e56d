// Package review decides which orders an operator must approve before they are paid.
package review

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/money"
	"holdfast/workflows/orderflow"
)

// Config has one setting for each rule. A rule without a setting asks for no review.
type Config struct {
	// Amounts are, by currency, from which total in minor units every order is reviewed: EUR:500000,JPY:800000.
	Amounts map[string]string `env:"REVIEW_AMOUNTS"`
	// FirstAmounts are the same for a customer who has never paid an order.
	FirstAmounts map[string]string `env:"REVIEW_FIRST_ORDER_AMOUNTS"`
	// NewCountry asks for a review if the customer's last paid order went to another country.
	NewCountry bool `env:"REVIEW_NEW_COUNTRY" envDefault:"false"`
	// Time is how long an order waits for its review. Then it expires.
	Time time.Duration `env:"REVIEW_TIME" envDefault:"4h"`
}

// maxTime is the longest time for which inventory reserves stock.
const maxTime = 24 * time.Hour

// Validate refuses a currency or an amount that cannot be read, and a time for which no stock is held.
func (c Config) Validate() error {
	if c.Time < time.Minute || c.Time > maxTime {
		return fmt.Errorf("REVIEW_TIME is %s: between 1m and 24h", c.Time)
	}
	for name, amounts := range map[string]map[string]string{
		"REVIEW_AMOUNTS": c.Amounts, "REVIEW_FIRST_ORDER_AMOUNTS": c.FirstAmounts,
	} {
		for currency, minor := range amounts {
			if _, err := money.Exponent(currency); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if n, err := strconv.ParseInt(minor, 10, 64); err != nil || n < 1 {
				return fmt.Errorf("%s: %q is no amount in minor units, as in EUR:500000", name, minor)
			}
		}
	}
	return nil
}

// The rules. Their names are promised to clients.
const (
	Amount     = "amount"
	FirstOrder = "first_order"
	NewCountry = "new_country"
)

// History is what the rules ask of the customer's earlier orders.
type History interface {
	// PaidBefore reports whether the customer has paid an order before, and to which country the last of them went.
	PaidBefore(ctx context.Context, issuer, customer string) (paid bool, country string, err error)
}

// Of returns why an operator must approve the order, or nil. It asks the history only if a rule needs it.
func (c Config) Of(ctx context.Context, history History, in orderflow.OrderInput) (*orderflow.Review, error) {
	var reasons []string
	if reaches(c.Amounts, in.Total) {
		reasons = append(reasons, Amount)
	}
	first := reaches(c.FirstAmounts, in.Total)
	abroad := c.NewCountry && in.ShipTo != nil && in.ShipTo.Country != ""
	if first || abroad {
		paid, country, err := history.PaidBefore(ctx, in.Issuer, in.CustomerID)
		if err != nil {
			return nil, err
		}
		if first && !paid {
			reasons = append(reasons, FirstOrder)
		}
		if abroad && country != "" && !strings.EqualFold(country, in.ShipTo.Country) {
			reasons = append(reasons, NewCountry)
		}
	}
	if len(reasons) == 0 {
		return nil, nil
	}
	return &orderflow.Review{Reasons: reasons, Seconds: int(c.Time / time.Second)}, nil
}

// reaches reports whether a total is at least the amount for its currency.
func reaches(amounts map[string]string, total money.Amount) bool {
	least, err := strconv.ParseInt(amounts[total.Currency], 10, 64)
	return err == nil && total.Minor >= least
}
