// Command shop places an order, pays it and waits until it is confirmed, with a client generated from the contract.
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
	if err := run(context.Background(), os.Getenv("SHOP_URL"), os.Getenv("SHOP_TOKEN"), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

// run orders one unit of a product. The key names the order: after a lost answer send it again, and get the same order.
func run(ctx context.Context, shop, token, product string) error {
	client, err := orders.NewClientWithResponses(shop, orders.WithRequestEditorFn(
		func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
	if err != nil {
		return err
	}
	id, err := uuid.Parse(product)
	if err != nil {
		return err
	}
	key := uuid.NewString()
	placed, err := client.CreateOrderWithResponse(ctx, &orders.CreateOrderParams{IdempotencyKey: &key},
		orders.CreateOrder{Lines: []orders.CreateOrderLine{{ProductID: id, Quantity: 1}}})
	if err != nil || placed.JSON201 == nil {
		return fmt.Errorf("place: %w %s", err, placed.Body) // 202: it is decided later; GET the order
	}
	paid, err := client.PayOrderWithResponse(ctx, placed.JSON201.OrderID, nil, orders.PayOrder{PaymentMethod: "pm_ok"})
	if err != nil || paid.JSON200 == nil {
		return fmt.Errorf("pay: %w %s", err, paid.Body) // 402: another card; 202: it goes on by itself
	}
	fmt.Println(paid.JSON200.Number, paid.JSON200.Status)
	return nil
}
