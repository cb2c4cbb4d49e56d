package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"golang.org/x/time/rate"

	"holdfast/internal/audit"
	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/orderstore"
	"holdfast/internal/payment/provider"
	"holdfast/internal/temporalclient"
	"holdfast/inventory/store"
	"holdfast/workflows/orderclient"
)

// The exit statuses of audit.
const (
	exitViolated   = 1
	exitIncomplete = 2
)

// incomplete marks an error because of which not everything was compared.
func incomplete(err error) error { return exitError{error: err, status: exitIncomplete} }

// auditConfig names the databases that the audit reads.
type auditConfig struct {
	Orders    string `env:"ORDERS_DATABASE_URL,required,notEmpty"`
	Inventory string `env:"INVENTORY_DATABASE_URL,required,notEmpty"`
}

// auditProvider is the configuration for the payment provider.
type auditProvider struct {
	Payment     provider.Config
	ServiceKeys []string `env:"SERVICE_API_KEYS"` // for the payment sandbox
}

// What --skip leaves out.
const (
	skipWorkflows = "workflows"
	skipPayments  = "payments"
)

// auditFlags say how to audit and where the result goes.
type auditFlags struct {
	options       audit.Options
	paymentsSince time.Duration
	paymentRate   float64
	skip          []string
	json          bool
	metrics       string
	schedule      time.Duration
	temporal      client.Client // set by open, unless workflows are left out
}

func newAudit() *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use: "audit", Args: func(cmd *cobra.Command, args []string) error {
			if err := arguments()(cmd, args); err != nil {
				return incomplete(err)
			}
			return nil
		},
		Short: "Compare stock, orders, payments and workflows, and say what to do about each difference.",
		Long: "Compares the ledger, the counters and the reservations of inventory, the orders with their payments and\n" +
			"shipments, the workflows, and the payment provider's books of recent orders. It prints each violation with\n" +
			"its remedy. It changes nothing, and may run while the platform works: it reads each database in one\n" +
			"snapshot, page by page, and counts only what it sees twice, some seconds apart.\n\n" +
			"If the environment names no database, it audits the platform of `make up` in this folder, and says so.\n\n" +
			"With --schedule the command is a process: Temporal starts an audit at each interval, and the process\n" +
			"carries it out. Then only the environment configures it.\n\n" +
			"Exit status: 0 if the books agree, 1 if it found a violation, 2 if it could not compare everything.",
		RunE: func(cmd *cobra.Command, _ []string) error { return runAudit(cmd, f) },
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return incomplete(err) })
	flags := cmd.Flags()
	flags.IntVar(&f.options.Page, "page", 1000, "rows that one statement reads")
	flags.DurationVar(&f.options.Pause, "pause", 20*time.Millisecond, "how long to rest after each page")
	flags.DurationVar(&f.options.Settle, "settle", 15*time.Second, "time between the two looks at a suspicion")
	flags.DurationVar(&f.options.Grace, "grace", 10*time.Minute,
		"how long after its deadline a pending reservation counts as overdue")
	flags.DurationVar(&f.paymentsSince, "payments-since", 2*day,
		"ask the payment provider about orders that changed within this time")
	flags.Float64Var(&f.paymentRate, "payment-rate", 20, "calls of the payment provider per second")
	flags.StringSliceVar(&f.skip, "skip", nil, "leave out workflows or payments (of the provider), or both")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
	flags.StringVar(&f.metrics, "metrics", "",
		"also write the result to this file, for the text file collector of Prometheus's node exporter")
	flags.DurationVar(&f.schedule, "schedule", 0,
		"stay, and audit at this interval as a Temporal Schedule; the metrics are served on AUDIT_LISTEN")
	return cmd
}

func (f auditFlags) check() error {
	faults := []error{f.options.Check()}
	if f.paymentRate <= 0 {
		faults = append(faults, fmt.Errorf("--payment-rate is %v; it must be more than 0", f.paymentRate))
	}
	if f.paymentsSince < 0 {
		faults = append(faults, fmt.Errorf("--payments-since is %s; it must not be negative", f.paymentsSince))
	}
	for _, name := range f.skip {
		if name != skipWorkflows && name != skipPayments {
			faults = append(faults, fmt.Errorf("--skip is %s or %s, not %q", skipWorkflows, skipPayments, name))
		}
	}
	if len(f.skip) > 0 && f.metrics != "" {
		faults = append(faults, errors.New("--metrics is the result of a whole audit; leave out --skip"))
	}
	return errors.Join(faults...)
}

func runAudit(cmd *cobra.Command, f auditFlags) error {
	start := time.Now()
	if err := f.check(); err != nil {
		return incomplete(err)
	}
	if f.schedule != 0 {
		return runSchedule(cmd, f)
	}
	progress := newSlowProgress(cmd.ErrOrStderr())
	f.options.Progress = func(step string, done int) { progress.at(step, done, 0) }
	vars, err := readerEnvironment(cmd.ErrOrStderr())
	if err != nil {
		return incomplete(err)
	}
	closeAll, err := f.open(cmd.Context(), vars)
	if err != nil {
		return incomplete(err)
	}
	defer closeAll()

	result, err := audit.Run(cmd.Context(), f.options)
	progress.end()
	if err != nil {
		return incomplete(fmt.Errorf("the audit is not complete: %w", err))
	}
	took := time.Since(start)
	if f.metrics != "" {
		if err := audit.WriteMetrics(f.metrics, result, time.Now(), took); err != nil {
			return incomplete(err)
		}
	}
	show := printAudit
	if f.json {
		show = printAuditJSON
	}
	if err := show(cmd.OutOrStdout(), result, f.skip, took); err != nil {
		return incomplete(err)
	}
	if n := len(result.Violations); n > 0 {
		return exitError{error: fmt.Errorf("%d violations", n), status: exitViolated}
	}
	return nil
}

// open connects to what the variables name.
func (f *auditFlags) open(ctx context.Context, vars map[string]string) (_ func(), err error) {
	var closers []func()
	closeAll := func() {
		for _, c := range slices.Backward(closers) {
			c()
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	cfg, err := config.LoadFrom[auditConfig](vars)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		database.Check(ctx, cfg.Orders, database.Orders),
		database.Check(ctx, cfg.Inventory, database.Inventory),
	)
	if err != nil {
		return nil, err
	}

	// One connection each. A transaction is idle while the other database and the provider are asked.
	limits := database.Pool{
		MaxConns:         1,
		ConnectTimeout:   5 * time.Second,
		StatementTimeout: 5 * time.Minute,
		IndexOnly:        true,
	}
	orders, err := database.Open(ctx, cfg.Orders, limits, "audit", nil)
	if err != nil {
		return nil, err
	}
	closers = append(closers, orders.Close)
	stock, err := database.Open(ctx, cfg.Inventory, limits, "audit", nil)
	if err != nil {
		return nil, err
	}
	closers = append(closers, stock.Close)
	f.options.Orders, f.options.Stock = orderstore.New(orders), store.New(stock)

	if !slices.Contains(f.skip, skipWorkflows) {
		temporalCfg, err := config.LoadFrom[temporalclient.Config](vars)
		if err != nil {
			return nil, err
		}
		dialCtx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		temporal, err := dialTemporal(dialCtx, temporalCfg)
		if err != nil {
			return nil, fmt.Errorf("connect to Temporal (--skip %s leaves it out): %w", skipWorkflows, err)
		}
		closers = append(closers, temporal.Close)
		f.temporal = temporal
		f.options.Workflows = orderclient.New(temporal, temporalCfg.DataConverter())
	}
	if !slices.Contains(f.skip, skipPayments) {
		return closeAll, f.openProvider(vars)
	}
	return closeAll, nil
}

func (f *auditFlags) openProvider(vars map[string]string) error {
	cfg, err := config.LoadFrom[auditProvider](vars)
	if err != nil {
		return err
	}
	key := ""
	if len(cfg.ServiceKeys) > 0 {
		key = cfg.ServiceKeys[0]
	}
	takesMoney, err := provider.New(cfg.Payment, "audit", key, &http.Client{Timeout: cfg.Payment.Timeout})
	if err != nil {
		return err
	}
	f.options.Payments = takesMoney
	f.options.PaymentsSince = time.Now().Add(-f.paymentsSince)
	f.options.Allow = rate.NewLimiter(rate.Limit(f.paymentRate), 1).Wait
	return nil
}

func printAudit(out io.Writer, r audit.Result, skipped []string, took time.Duration) error {
	for _, v := range r.Violations {
		fmt.Fprintf(out, "%s %s\n  %s\n  remedy: %s\n", v.Kind, v.Subject, v.Detail, v.Remedy())
	}
	fmt.Fprintf(out, "compared      %d items, %d reservations, %d orders; %d payments at the provider\n",
		r.Items, r.Reservations, r.Orders, r.Payments)
	if len(skipped) > 0 {
		fmt.Fprintf(out, "left out      %s\n", skipped)
	}
	fmt.Fprintf(out, "passing       %d suspicions were gone at the second look\n", r.Passing)
	fmt.Fprintf(out, "violations    %d\n", len(r.Violations))
	_, err := fmt.Fprintf(out, "time          %s\n", took.Round(time.Millisecond))
	return err
}

// auditJSON is the output of --json.
type auditJSON struct {
	Items        int             `json:"items"`
	Reservations int             `json:"reservations"`
	Orders       int             `json:"orders"`
	Payments     int             `json:"provider_payments"`
	Skipped      []string        `json:"skipped"`
	Passing      int             `json:"passing"`
	Seconds      float64         `json:"seconds"`
	Violations   []violationJSON `json:"violations"`
}

type violationJSON struct {
	Kind    audit.Kind `json:"kind"`
	Subject string     `json:"subject"`
	Detail  string     `json:"detail"`
	Remedy  string     `json:"remedy"`
}

func printAuditJSON(out io.Writer, r audit.Result, skipped []string, took time.Duration) error {
	all := auditJSON{
		Items:        r.Items,
		Reservations: r.Reservations,
		Orders:       r.Orders,
		Payments:     r.Payments,
		Skipped:      append([]string{}, skipped...),
		Passing:      r.Passing,
		Seconds:      took.Seconds(),
		Violations:   []violationJSON{},
	}
	for _, v := range r.Violations {
		all.Violations = append(all.Violations, violationJSON{v.Kind, v.Subject, v.Detail, v.Remedy()})
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(all)
}
