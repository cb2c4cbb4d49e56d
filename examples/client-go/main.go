// Command shop places an order, pays it and prints its status, with a client generated from the contract.
package main

//go:generate sh -c "sed '/ x-go-type/d' ../../api/openapi.yaml > contract.yaml"
//go:generate ../../bin/tools/oapi-codegen -config oapi-codegen.yaml contract.yaml
//go:generate rm contract.yaml

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"example.com/shop/orders"
	"github.com/google/uuid"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: SHOP_URL=http://127.0.0.1:3000 SHOP_TOKEN=… shop PRODUCT_ID")
	}
	if err := run(context.Background(), os.Getenv("SHOP_URL"), os.Getenv("SHOP_TOKEN"), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

// run orders one unit of a product. The key names the order: after a lost answer send it again, and get the same order.
func run(ctx context.Context, shop, token, product string) error {
	id, err := uuid.Parse(product)
	if err != nil {
		return fmt.Errorf("read the product's id: %w", err)
	}
	client, err := orders.NewClientWithResponses(shop, orders.WithRequestEditorFn(
		func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
	if err != nil {
		return err
	}

	key := uuid.NewString()
	placed, err := client.CreateOrderWithResponse(ctx, &orders.CreateOrderParams{IdempotencyKey: &key},
		orders.CreateOrder{Lines: []orders.CreateOrderLine{{ProductID: id, Quantity: 1}}})
	if err != nil {
		return fmt.Errorf("place the order: %w", err)
	}
	if placed.JSON201 == nil { // 202: the order is accepted and decided later; GET it
		return fmt.Errorf("place the order: %s: %s", placed.Status(), placed.Body)
	}

	paid, err := client.PayOrderWithResponse(ctx, placed.JSON201.OrderID, nil, orders.PayOrder{PaymentMethod: "pm_ok"})
	if err != nil {
		return fmt.Errorf("pay: %w", err)
	}
	if paid.JSON200 == nil { // 402: try another card; 202: the payment goes on by itself; GET the order
		return fmt.Errorf("pay: %s: %s", paid.Status(), paid.Body)
	}
	fmt.Println(paid.JSON200.Number, paid.JSON200.Status)
	return nil
}
