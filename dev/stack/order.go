package stack

import (
	"context"
	"fmt"
	"io"
	"time"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/config"
	"holdfast/internal/firstorder"
	"holdfast/workflows/orderflow"
)

// Token makes a token of the stack's own secret.
func (s *Stack) Token(subject string, role auth.Role) (string, error) {
	cfg, err := config.LoadFrom[auth.Config](s.vars)
	if err != nil {
		return "", err
	}
	return auth.Sign(cfg, subject, role, 12*time.Hour)
}

// PlaceFirstOrder places an order through the gateway, pays it with a sandbox card and returns its
// timeline once it is confirmed.
func (s *Stack) PlaceFirstOrder(ctx context.Context, token string) (orderapi.Order, []orderapi.TimelineEntry, error) {
	order, timeline, err := firstorder.Client{Gateway: s.gatewayURL(), Token: token}.Place(ctx)
	if err != nil {
		err = fmt.Errorf("%w; the logs are below %s", err, s.dir)
	}
	return order, timeline, err
}

// Describe writes the addresses of the stack and an example request.
func (s *Stack) Describe(out io.Writer, token string) {
	fmt.Fprintf(out, "\n  API and docs   %s/docs\n  Temporal UI    %s\n", s.gatewayURL(), s.temporalUI)
	for _, v := range orderflow.ListViews(time.Now(), "alice") {
		fmt.Fprintf(out, "    %-23s %s\n", v.Name, v.URL(s.temporalUI, orderflow.Namespace))
	}
	if s.codecURL() != "" {
		what := "what orders hold is encrypted there; to read it,"
		if s.writesPlain() {
			what = "new orders are not encrypted; to read those that are,"
		}
		fmt.Fprintf(out, "    %s sign in at %s with the token that\n"+
			"    \"bin/holdfast token --sub ops --role operator\" prints\n", what, s.codecURL())
	}
	if s.rabbitUI != "" {
		fmt.Fprintf(out, "  RabbitMQ UI    %s  (guest / guest)\n", s.rabbitUI)
	}
	s.describeMetrics(out)
	fmt.Fprintf(out, "  settings       %s/env       logs  %s/log\n", s.dir, s.dir)
	fmt.Fprintln(out, "  follow one     bin/holdfast story ORDER    all that happened to an order, by its id or number")
	firstorder.PrintExample(out, s.gatewayURL(), token)
}
