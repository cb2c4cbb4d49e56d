package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/firstorder"
	"holdfast/internal/problem"
)

// orderCommand places and follows orders of one customer through the gateway, as a client does.
type orderCommand struct {
	gateway  string
	customer string
}

func newOrder() *cobra.Command {
	o := &orderCommand{}
	cmd := &cobra.Command{
		Use:   "order",
		Short: "Place and follow orders through the gateway, as a customer does.",
		Long: "Sends a customer's requests to the gateway and prints the answers for people. An order is named by its id\n" +
			"or its number; without a name the command takes the customer's newest order. The token is signed as those\n" +
			"of `holdfast token`.",
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&o.gateway, "gateway", "http://127.0.0.1:3000", "where this command reaches the gateway")
	flags.StringVar(&o.customer, "sub", "alice", "the customer")

	var limit int
	products := &cobra.Command{
		Use: "products", Short: "List products and their prices.", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.products(cmd, limit) },
	}
	products.Flags().IntVar(&limit, "limit", 5, "how many products, at most 200")

	var listed int
	list := &cobra.Command{
		Use: "list", Short: "List the customer's newest orders.", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.list(cmd, listed) },
	}
	list.Flags().IntVar(&listed, "limit", 20, "how many orders, at most 200")

	var card string
	place := &cobra.Command{
		Use: "place PRODUCT [QUANTITY]", Short: "Order a product, by its SKU or its id.",
		Args: arguments("PRODUCT", "[QUANTITY]"), Example: "  holdfast order place BAG-GRA 2 --card pm_ok",
		RunE: func(cmd *cobra.Command, args []string) error { return o.place(cmd, args, card) },
	}
	place.Flags().StringVar(&card, "card", "", "pay at once, with this payment method of the sandbox, as in pm_ok")

	var payCard string
	pay := o.action("pay", "Pay an order.", func() any { return orderapi.PayOrder{PaymentMethod: payCard} })
	pay.Flags().StringVar(&payCard, "card", "pm_ok", "the payment method; in the sandbox also pm_declined, pm_timeout …")

	var reason string
	cancel := o.action("cancel", "Cancel an order; stock and money go back.",
		func() any { return orderapi.CancelOrder{Reason: reason} })
	cancel.Flags().StringVar(&reason, "reason", "", "why")

	cmd.AddCommand(products, place, pay, cancel, list,
		&cobra.Command{
			Use: "show [ORDER]", Short: "Show an order with its timeline.", Args: arguments("[ORDER]"),
			Example: "  holdfast order show HF-104233",
			RunE: func(cmd *cobra.Command, args []string) error {
				client, err := o.client()
				if err != nil {
					return err
				}
				order, err := find(cmd.Context(), client, args)
				if err != nil {
					return err
				}
				return show(cmd.Context(), client, cmd.OutOrStdout(), order)
			},
		})
	return cmd
}

// client makes a token for the customer.
func (o *orderCommand) client() (firstorder.Client, error) {
	cfg, err := tokenConfig()
	if err != nil {
		return firstorder.Client{}, err
	}
	token, err := auth.Sign(cfg, o.customer, auth.Customer, time.Minute)
	return firstorder.Client{Gateway: o.gateway, Token: token}, err
}

// maxPage is the longest page of a list of the API.
const maxPage = 200

func checkLimit(limit int) error {
	if limit < 1 || limit > maxPage {
		return fmt.Errorf("--limit is %d; it is 1 to %d", limit, maxPage)
	}
	return nil
}

func (o *orderCommand) products(cmd *cobra.Command, limit int) error {
	if err := checkLimit(limit); err != nil {
		return err
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	var page orderapi.ProductList
	path := "/api/products?limit=" + strconv.Itoa(maxPage) // to say how many there are
	if err := client.Call(cmd.Context(), http.MethodGet, path, nil, &page); err != nil {
		return err
	}

	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, p := range page.Items[:min(limit, len(page.Items))] {
		prices := make([]string, len(p.Prices))
		for i, price := range p.Prices {
			prices[i] = price.String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.SKU, p.Name, strings.Join(prices, ", "), p.ProductID)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case len(page.Items) == 0:
		fmt.Fprintln(cmd.ErrOrStderr(), "There are no products; `holdfast seed` adds examples.")
	case page.NextCursor != "":
		fmt.Fprintf(cmd.ErrOrStderr(), "%d of more than %d; --limit N shows more, %d at most.\n", limit, maxPage, maxPage)
	case limit < len(page.Items):
		fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d; --limit N shows more.\n", limit, len(page.Items))
	}
	return nil
}

func (o *orderCommand) place(cmd *cobra.Command, args []string, card string) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	quantity := int64(1)
	if len(args) == 2 {
		if quantity, err = strconv.ParseInt(args[1], 10, 32); err != nil {
			return fmt.Errorf("the quantity %q is not a number", args[1])
		}
	}
	product, err := findProduct(cmd.Context(), client, args[0])
	if err != nil {
		return err
	}

	body := orderapi.CreateOrder{Lines: []orderapi.CreateOrderLine{{ProductID: product, Quantity: quantity}}}
	var placed orderapi.Order
	if err := client.Call(cmd.Context(), http.MethodPost, "/api/orders", body, &placed); err != nil {
		return err
	}
	if card != "" { // a request of its own, whose answer says how the payment ended
		return act(cmd, client, placed, "pay", orderapi.PayOrder{PaymentMethod: card})
	}
	return show(cmd.Context(), client, cmd.OutOrStdout(), placed)
}

// action makes a command that changes one order by a request.
func (o *orderCommand) action(name, short string, body func() any) *cobra.Command {
	return &cobra.Command{
		Use: name + " [ORDER]", Short: short, Args: arguments("[ORDER]"), Example: "  holdfast order " + name + " HF-104233",
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := o.client()
			if err != nil {
				return err
			}
			order, err := find(cmd.Context(), client, args)
			if err != nil {
				return err
			}
			return act(cmd, client, order, name, body())
		},
	}
}

// act requests an action on an order, and shows the order.
func act(cmd *cobra.Command, client firstorder.Client, order orderapi.Order, name string, body any) error {
	path := "/api/orders/" + order.OrderID.String() + "/" + name
	err := client.Call(cmd.Context(), http.MethodPost, path, body, &order)
	if declined(err) {
		// The order says how many payments were declined. Without an answer the refusal says enough.
		if order, readErr := find(cmd.Context(), client, []string{order.OrderID.String()}); readErr == nil {
			_ = show(cmd.Context(), client, cmd.OutOrStdout(), order)
		}
	}
	if err != nil {
		return err
	}
	return show(cmd.Context(), client, cmd.OutOrStdout(), order)
}

// declined reports whether err is the API's answer that the payment provider declined.
func declined(err error) bool {
	var p *problem.Problem
	return errors.As(err, &p) && p.Code == orderapi.PaymentDeclined
}

func (o *orderCommand) list(cmd *cobra.Command, limit int) error {
	if err := checkLimit(limit); err != nil {
		return err
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	var page orderapi.OrderList
	path := "/api/orders?limit=" + strconv.Itoa(limit)
	if err := client.Call(cmd.Context(), http.MethodGet, path, nil, &page); err != nil {
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, order := range page.Items {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", order.Number, order.Status, order.Total,
			order.CreatedAt.Local().Format(time.DateTime))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case len(page.Items) == 0:
		fmt.Fprintf(cmd.ErrOrStderr(), "%s has no orders; `holdfast order place PRODUCT` places one.\n", o.customer)
	case page.NextCursor != "" && limit < maxPage:
		fmt.Fprintf(cmd.ErrOrStderr(), "The newest %d; --limit N shows more.\n", len(page.Items))
	case page.NextCursor != "":
		fmt.Fprintf(cmd.ErrOrStderr(), "The newest %d; there are more.\n", len(page.Items))
	}
	return nil
}

// show prints an order with its timeline.
func show(ctx context.Context, client firstorder.Client, out io.Writer, order orderapi.Order) error {
	var timeline orderapi.Timeline
	path := "/api/orders/" + order.OrderID.String() + "/timeline"
	if err := client.Call(ctx, http.MethodGet, path, nil, &timeline); err != nil {
		return err
	}
	firstorder.PrintTimeline(out, order, timeline.Items)
	if next := whatNext(order); next != "" {
		fmt.Fprintln(out, "\n"+next)
	}
	return nil
}

// whatNext says what an unpaid order waits for, and what the customer can do.
func whatNext(order orderapi.Order) string {
	switch {
	case order.Status == orderapi.OrderStatusReserved:
		next := fmt.Sprintf("The stock is held until %s.", order.ExpiresAt.Local().Format(time.TimeOnly))
		if n := declines(order); n > 0 {
			next += fmt.Sprintf("\nDeclined payments: %d. The third one ends the order.", n)
		}
		return next
	case order.Status == orderapi.OrderStatusPaying && order.PaymentAction.URL != "":
		return fmt.Sprintf("The customer must confirm the payment at the bank: open %s in a browser.\n"+
			"`holdfast order show %s` then shows how it ended.", order.PaymentAction.URL, order.Number)
	case order.Status == orderapi.OrderStatusPaying:
		return fmt.Sprintf("The payment provider has not said yet how the payment ended. The order goes on by itself\n"+
			"when it does; do not pay again. `holdfast order show %s` shows how it ended.", order.Number)
	}
	return ""
}

// declines counts the declined payments of an order.
func declines(order orderapi.Order) (n int) {
	for _, p := range order.Payments {
		if p.State == orderapi.PaymentStateDeclined {
			n++
		}
	}
	return n
}

// find reads the order that the argument names by id or number, or else the customer's newest order.
func find(ctx context.Context, client firstorder.Client, args []string) (order orderapi.Order, err error) {
	query := url.Values{"limit": {"1"}}
	if len(args) == 1 {
		if id, err := uuid.Parse(args[0]); err == nil {
			return order, client.Call(ctx, http.MethodGet, "/api/orders/"+id.String(), nil, &order)
		}
		query = url.Values{"number": {args[0]}}
	}
	var page orderapi.OrderList
	if err := client.Call(ctx, http.MethodGet, "/api/orders?"+query.Encode(), nil, &page); err != nil {
		return order, err
	}
	if len(page.Items) == 0 {
		return order, fmt.Errorf("the customer has no such order; `holdfast order list` lists the orders")
	}
	return page.Items[0], nil
}

// findProduct returns the id of a product, which the caller names by its id or its SKU.
func findProduct(ctx context.Context, client firstorder.Client, name string) (uuid.UUID, error) {
	if id, err := uuid.Parse(name); err == nil {
		return id, nil
	}
	query := url.Values{"limit": {"200"}}
	for {
		var page orderapi.ProductList
		if err := client.Call(ctx, http.MethodGet, "/api/products?"+query.Encode(), nil, &page); err != nil {
			return uuid.Nil, err
		}
		for _, p := range page.Items {
			if p.SKU == name {
				return p.ProductID, nil
			}
		}
		if page.NextCursor == "" {
			return uuid.Nil, fmt.Errorf("no product has the SKU %q; `holdfast order products` lists products", name)
		}
		query.Set("cursor", page.NextCursor)
	}
}
