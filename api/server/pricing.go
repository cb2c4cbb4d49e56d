package server

import (
	"context"
	"fmt"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/money"
	"holdfast/internal/problem"
	"holdfast/workflows/orderflow"
)

// customerOf returns the customer whose order the request places. Only a shop orders for others, and only a shop sets
// amounts.
func customerOf(who auth.Identity, body orderapi.CreateOrder) (string, error) {
	if who.Role == auth.Shop {
		if body.CustomerID == "" {
			return "", problem.Invalid("customer_id", "name the customer for whom the shop orders, as in alice")
		}
		if err := auth.CheckSubject(body.CustomerID); err != nil {
			return "", problem.Invalid("customer_id", "a customer is named by the subject of a token: %s", err)
		}
		return body.CustomerID, checkCharges(body)
	}

	onlyShop := func(field string) error {
		return problem.Common.New(problem.Forbidden, "only a shop, with a token of the role shop, may set this").At(field)
	}
	switch {
	case body.CustomerID != "" && body.CustomerID != who.Subject:
		return "", onlyShop("customer_id")
	case body.Discount != money.Amount{}:
		return "", onlyShop("discount")
	case body.Shipping != money.Amount{}:
		return "", onlyShop("shipping")
	}
	for i, l := range body.Lines {
		switch {
		case l.Discount != money.Amount{}:
			return "", onlyShop(fmt.Sprintf("lines[%d].discount", i))
		case l.Tax != money.Amount{}:
			return "", onlyShop(fmt.Sprintf("lines[%d].tax", i))
		}
	}
	return who.Subject, nil
}

// checkCharges returns an error if an amount is in another currency than the order.
func checkCharges(body orderapi.CreateOrder) error {
	check := func(a money.Amount, field string) error {
		if a != (money.Amount{}) && a.Currency != body.Currency {
			return problem.Invalid(field, "the order is in %s, so this amount must be too", body.Currency)
		}
		return nil
	}
	if err := check(body.Discount, "discount.currency"); err != nil {
		return err
	}
	if err := check(body.Shipping, "shipping.currency"); err != nil {
		return err
	}
	for i, l := range body.Lines {
		if err := check(l.Discount, fmt.Sprintf("lines[%d].discount.currency", i)); err != nil {
			return err
		}
		if err := check(l.Tax, fmt.Sprintf("lines[%d].tax.currency", i)); err != nil {
			return err
		}
	}
	return nil
}

// price takes names and prices from the catalogue, discounts, taxes and the shipment's price from the request, and adds
// up the total.
func (h *handlers) price(c *gin.Context, in *orderflow.OrderInput, body orderapi.CreateOrder) error {
	prices, err := h.priceLines(c, in)
	if err != nil {
		return err
	}
	shares, err := spreadDiscount(prices, body)
	if err != nil {
		return err
	}
	for i := range in.Lines {
		l, asked := &in.Lines[i], body.Lines[i]
		l.Discount = money.Amount{Minor: asked.Discount.Minor + shares[i].Minor, Currency: in.Total.Currency}
		l.Tax = asked.Tax
		l.Total = money.Amount{Minor: prices[i].Minor - l.Discount.Minor, Currency: in.Total.Currency}
		if l.Tax.Minor > 0 {
			l.Total, err = l.Total.Add(l.Tax)
		}
		if err == nil {
			in.Total, err = in.Total.Add(l.Total)
		}
		if err != nil {
			return tooLarge(fmt.Sprintf("lines[%d].tax", i))
		}
		l.Discount, l.Tax = orNone(l.Discount), orNone(l.Tax)
	}
	if in.Shipping = orNone(body.Shipping); in.Shipping.Minor > 0 {
		if in.Total, err = in.Total.Add(in.Shipping); err != nil {
			return tooLarge("shipping")
		}
	}
	return nil
}

// spreadDiscount returns the share of each line of the order's discount, in proportion to its price less its own
// discount.
func spreadDiscount(prices []money.Amount, body orderapi.CreateOrder) ([]money.Amount, error) {
	left := make([]int64, len(prices))
	var sum int64
	for i, price := range prices {
		left[i] = price.Minor - body.Lines[i].Discount.Minor
		if left[i] < 0 {
			return nil, problem.Invalid(fmt.Sprintf("lines[%d].discount", i), "the line costs %s and no discount is more", price)
		}
		sum += left[i]
	}
	switch {
	case body.Discount.Minor == 0:
		return make([]money.Amount, len(prices)), nil
	case body.Discount.Minor > sum:
		return nil, problem.Invalid("discount", "the lines cost %s and no discount is more",
			money.Amount{Minor: sum, Currency: body.Discount.Currency})
	}
	return body.Discount.Split(left)
}

// orNone returns the amount, or no amount if it is 0.
func orNone(a money.Amount) money.Amount {
	if a.Minor == 0 {
		return money.Amount{}
	}
	return a
}

func tooLarge(field string) error {
	return orderapi.Table.New(orderapi.AmountTooLarge, "the order's total is too large; order less").At(field)
}

// priceLines takes names and prices from the catalogue, and returns the price of all units of each line. The sum of the
// prices can be represented too.
func (h *handlers) priceLines(c *gin.Context, in *orderflow.OrderInput) ([]money.Amount, error) {
	ids := make([]uuid.UUID, 0, len(in.Lines))
	seen := make(map[uuid.UUID]bool, len(in.Lines))
	for _, l := range in.Lines {
		if !seen[l.ProductID] {
			seen[l.ProductID] = true
			ids = append(ids, l.ProductID)
		}
	}

	ctx, cancel := context.WithTimeout(c.Request.Context(), readTimeout)
	defer cancel()
	priced, known, err := h.store.PriceProducts(ctx, ids, in.Total.Currency)
	if err != nil {
		return nil, h.unavailable(c, err)
	}

	prices := make([]money.Amount, len(in.Lines))
	sum := money.Amount{Currency: in.Total.Currency}
	for i := range in.Lines {
		l := &in.Lines[i]
		product, ok := priced[l.ProductID]
		field := fmt.Sprintf("lines[%d].product_id", i)
		switch {
		case !known[l.ProductID]:
			return nil, orderapi.Table.New(orderapi.UnknownProduct, "there is no product %s", l.ProductID).At(field)
		case !ok:
			p := orderapi.Table.New(orderapi.NoPrice, "product %s is not sold in %s", l.ProductID, in.Total.Currency)
			return nil, p.At(field)
		}

		l.SKU, l.Name, l.UnitPrice = product.SKU, product.Name, product.Price
		prices[i], err = product.Price.Times(l.Quantity)
		if err == nil {
			sum, err = sum.Add(prices[i])
		}
		if err != nil {
			return nil, tooLarge(fmt.Sprintf("lines[%d].quantity", i))
		}
	}
	return prices, nil
}
