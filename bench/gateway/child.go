package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/google/uuid"

	"holdfast/api/orderapi"
)

// child is one of the processes that are measured beside the gateway: the service behind it, or the plain proxy. It
// prints its address.
func child(ctx context.Context, role, target string) error {
	var handler http.Handler
	switch role {
	case "service":
		handler = newService()
	case "proxy":
		to, err := url.Parse(target)
		if err != nil {
			return err
		}
		handler = &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to); r.SetXForwarded() },
			Transport: &http.Transport{MaxIdleConnsPerHost: 256}, // with Go's two it would mostly connect
		}
	default:
		return fmt.Errorf("there is no role %q", role)
	}

	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}

// newService returns a service that answers at once, so that the run measures what is before it: one order at
// /api/orders/{id}, and a list of twenty at /api/orders.
func newService() http.Handler {
	orders := make([]orderapi.Order, 20)
	for i := range orders {
		orders[i] = sampleOrder(i)
	}
	one, err := json.Marshal(orders[0])
	if err != nil {
		panic(err) // of a value that is known
	}
	list, err := json.Marshal(orderapi.OrderList{Items: orders})
	if err != nil {
		panic(err) // of a value that is known
	}
	answer := func(body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", answer(nil))
	mux.HandleFunc("GET /ready", answer(nil))
	mux.HandleFunc("GET /api/orders", answer(list))
	mux.HandleFunc("GET /api/orders/{id}", answer(one))
	return mux
}

// sampleOrder is an order of two lines, as the api has it after its payment.
func sampleOrder(n int) orderapi.Order {
	amount := func(minor int) orderapi.Money { return orderapi.Money{Minor: int64(minor), Currency: "EUR"} }
	at := time.Date(2026, 3, 1, 12, n, 7*n, 1000*n, time.UTC)
	line := func(no int) orderapi.OrderLine {
		return orderapi.OrderLine{
			LineNo:    no,
			Name:      fmt.Sprintf("Product %d of the catalogue", 17*n+no),
			ProductID: uuid.New(),
			Quantity:  int64(no),
			SKU:       fmt.Sprintf("SKU-%05d", 31*n+no),
			Total:     amount(no * 1299),
			UnitPrice: amount(1299),
		}
	}
	return orderapi.Order{
		CreatedAt:       at,
		CustomerID:      "alice",
		ExpiresAt:       at.Add(15 * time.Minute),
		Lines:           []orderapi.OrderLine{line(1), line(2)},
		OrderID:         uuid.New(),
		PaymentAttempts: 1,
		Payments:        []orderapi.Payment{},
		ReservationID:   uuid.New(),
		Status:          "confirmed",
		Total:           amount(3 * 1299),
		UpdatedAt:       at.Add(time.Second),
	}
}
