package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"holdfast/internal/config"
	"holdfast/internal/seed"
	"holdfast/internal/temporalclient"
	"holdfast/workflows/orderclient"
)

// seedConfig has no default for Temporal's address: a server at the default address of Temporal might not be the
// Temporal of these databases.
type seedConfig struct {
	Databases databases
	Address   string                `env:"TEMPORAL_ADDRESS"`
	Temporal  temporalclient.Config // used only with an Address
}

// The values of --reservations.
const (
	holdsOff      = "off"
	holdsAuto     = "auto"
	holdsRequired = "required"
)

// dialTimeout is how long the seeder waits for the first answer of Temporal.
const dialTimeout = 3 * time.Second

type seedCommand struct {
	cmd                       *cobra.Command
	dataset, reservations     string
	reset, confirmed, foreign bool

	progress *progress
	stores   stores
	temporal client.Client // nil if there is no connection
	noClient error         // why temporal is nil

	workflows *orderclient.Client // on the same connection
}

func newSeed() *cobra.Command {
	s := &seedCommand{}
	cmd := &cobra.Command{
		Use: "seed", Args: arguments(),
		Short: "Fill the catalogue and the stock with example products; a rerun changes nothing.",
		Long: "Fills the catalogue and the stock with example products. A rerun changes nothing.\n\n" +
			"If TEMPORAL_ADDRESS is set and a worker answers, the command makes reservations through Temporal, each by a\n" +
			"workflow that owns its timer. Otherwise it leaves them out; a rerun adds them once the platform runs. A\n" +
			"reservation holds for a day. A rerun does not make an ended reservation again; --reset starts over.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.cmd, s.progress = cmd, newProgress(cmd.ErrOrStderr())
			return s.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.dataset, "dataset", "dev", seed.Describe())
	flags.StringVar(&s.reservations, "reservations", holdsAuto,
		"auto: if a worker answers · required: fail if no worker answers · off")
	flags.BoolVar(&s.reset, "reset", false, "wipe catalogue, stock and orders first; asks before it does")
	flags.BoolVar(&s.confirmed, "yes", false, "confirm --reset")
	flags.BoolVar(&s.foreign, "force", false,
		"let --reset delete orders, reservations, products and stock that are not from seeding")
	return cmd
}

func (s *seedCommand) run(ctx context.Context) error {
	start := time.Now()
	planned, err := seed.Planned(s.dataset)
	if err != nil {
		return err
	}
	if !s.reset && (s.foreign || s.confirmed) {
		return errors.New("--force and --yes are for --reset; add it, or leave them out")
	}
	if !slices.Contains([]string{holdsOff, holdsAuto, holdsRequired}, s.reservations) {
		return fmt.Errorf("--reservations is off, auto or required, not %q", s.reservations)
	}

	cfg, err := config.Load[seedConfig]()
	if err != nil {
		return err
	}
	if s.stores, err = openStores(ctx, cfg.Databases); err != nil {
		return err
	}
	defer s.stores.close()
	release, err := s.stores.orders.LockSeeding(ctx)
	if err != nil {
		return err
	}
	defer release()

	s.connect(ctx, cfg)
	if s.temporal != nil {
		defer s.temporal.Close()
	}
	if s.reset {
		if err := s.wipe(ctx); err != nil {
			return err
		}
	}

	sum, err := seed.Run(ctx, s.dataset, s.stores.orders, s.stores.stock)
	if err != nil {
		return err
	}
	s.progress.at("products", sum.Products, sum.Products)
	holds, holdErr := s.hold(ctx, planned)
	s.progress.end()

	out := s.cmd.OutOrStdout()
	fmt.Fprintf(out, "data set      %s\n", s.dataset)
	fmt.Fprintf(out, "products      %d new, %d existing\n", sum.New, int64(sum.Products)-sum.New)
	fmt.Fprintf(out, "stock         %d units received, at %d locations\n", sum.Units, sum.Locations)
	left := planned - holds.Made - holds.Existing - len(holds.Refused)
	fmt.Fprintf(out, "reservations  %d made, %d existing, %d refused, %d left out\n",
		holds.Made, holds.Existing, len(holds.Refused), left)
	if holds.Ended > 0 {
		fmt.Fprintf(out, "              %d of the existing have ended and are not made again; --reset starts over\n",
			holds.Ended)
	}
	for _, r := range holds.Refused {
		fmt.Fprintf(out, "              refused: %s\n", r)
	}
	if left > 0 {
		fmt.Fprintf(out, "              left out: %s\n", s.whyLeftOut(holdErr))
	}
	fmt.Fprintf(out, "time          %s\n", time.Since(start).Round(time.Millisecond))
	if holdErr != nil && (s.reservations == holdsRequired || ctx.Err() != nil) {
		return fmt.Errorf("reservations: %w", holdErr)
	}
	return nil
}

// whyLeftOut says why reservations are missing and how to add them.
func (s *seedCommand) whyLeftOut(err error) string {
	if s.reservations == holdsOff {
		return "--reservations=off"
	}
	return fmt.Sprintf("%v\n"+
		"              to add them, run this again once the platform runs, with TEMPORAL_ADDRESS set", err)
}

// connect connects to Temporal if its address is configured, and keeps the reason if there is no connection.
func (s *seedCommand) connect(ctx context.Context, cfg seedConfig) {
	if cfg.Address == "" {
		s.noClient = errors.New("TEMPORAL_ADDRESS is not set")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	s.temporal, s.noClient = temporalclient.Dial(ctx, cfg.Temporal, nil)
	if s.noClient == nil {
		s.workflows = orderclient.New(s.temporal, cfg.Temporal.DataConverter())
	}
}

// hold makes the data set's reservations.
func (s *seedCommand) hold(ctx context.Context, planned int) (seed.HoldSummary, error) {
	if s.reservations == holdsOff || planned == 0 {
		return seed.HoldSummary{}, nil
	}
	if s.temporal == nil {
		return seed.HoldSummary{}, s.noClient
	}
	return seed.Holder{
		Books:     s.stores.orders,
		Held:      s.stores.stock,
		Temporal:  s.temporal,
		Workflows: s.workflows,
		Progress:  func(done, total int) { s.progress.at("reservations", done, total) },
	}.Hold(ctx, s.dataset)
}

// wipe empties both databases after the operator has confirmed it.
func (s *seedCommand) wipe(ctx context.Context) error {
	lost, err := seed.Reset{
		Orders:    s.stores.orders,
		Inventory: s.stores.stock,
		Temporal:  s.temporal,
		NoClient:  s.noClient,
		Force:     s.foreign,
		Confirm:   s.confirm,
	}.Run(ctx)
	if err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	s.progress.end()
	fmt.Fprintf(s.cmd.ErrOrStderr(), "wiped: %d products with all stock, %d orders\n", lost.Products, lost.Orders)
	return nil
}

func (s *seedCommand) confirm(lost seed.Lost) (bool, error) {
	if s.confirmed {
		return true, nil
	}
	if !isTerminal(s.cmd.InOrStdin()) {
		return false, fmt.Errorf("--reset destroys %d products with all stock and %d orders; add --yes to go on",
			lost.Products, lost.Orders)
	}
	fmt.Fprintf(s.cmd.ErrOrStderr(),
		"This destroys %d products with all stock and %d orders. Type \"reset\" to go on: ", lost.Products, lost.Orders)
	answer, err := bufio.NewReader(s.cmd.InOrStdin()).ReadString('\n')
	return err == nil && strings.TrimSpace(answer) == "reset", nil
}
