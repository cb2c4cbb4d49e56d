// Package promise says on which day a shipment will be with the customer: from the time at which it is planned, until
// when its location sends things out on the same day, and how many days the carrier takes to the country.
package promise

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a container may have no time zones
)

// Config is the shop's calendar. Without cut-offs nothing is promised.
type Config struct {
	// CutOffs are, by the code of a location, until when what is ordered leaves on the same day: main:14:00 Europe/Vienna.
	// The time zone is UTC if there is none. The location * stands for all others.
	CutOffs map[string]string `env:"PROMISE_CUTOFFS"`
	// CarrierDays are, by the country of the address, how many working days the carrier takes: AT:1,DE:2. The country *
	// stands for all others, and for orders without an address.
	CarrierDays map[string]int `env:"PROMISE_CARRIER_DAYS" envDefault:"*:3"`
	// Workdays are the days on which things leave and arrive. ClosedDays are those of them, as 2026-12-25, on which
	// nothing does.
	Workdays   []string `env:"PROMISE_WORKDAYS" envDefault:"mon,tue,wed,thu,fri"`
	ClosedDays []string `env:"PROMISE_CLOSED_DAYS"`
}

// maxCarrierDays is the longest time that a carrier may take.
const maxCarrierDays = 90

var weekdays = map[string]time.Weekday{
	"mon": time.Monday, "tue": time.Tuesday, "wed": time.Wednesday, "thu": time.Thursday, "fri": time.Friday,
	"sat": time.Saturday, "sun": time.Sunday,
}

// Validate names what cannot be read.
func (c Config) Validate() error {
	_, err := NewCalendar(c)
	return err
}

// Calendar makes promises.
type Calendar struct {
	cutOffs     map[string]cutOff
	carrierDays map[string]int
	workdays    map[time.Weekday]bool
	closed      map[string]bool // by date
}

type cutOff struct {
	sinceMidnight time.Duration
	zone          *time.Location
}

// anywhere stands for every location or country that is not named.
const anywhere = "*"

// NewCalendar reads the configuration. The error names every setting that cannot be read.
func NewCalendar(c Config) (*Calendar, error) {
	out := &Calendar{
		cutOffs:     map[string]cutOff{},
		carrierDays: c.CarrierDays,
		workdays:    map[time.Weekday]bool{},
		closed:      map[string]bool{},
	}
	var faults []error
	for _, location := range slices.Sorted(maps.Keys(c.CutOffs)) {
		at, err := readCutOff(c.CutOffs[location])
		if err != nil {
			faults = append(faults, fmt.Errorf("PROMISE_CUTOFFS, location %s: %w", location, err))
		}
		out.cutOffs[location] = at
	}
	for _, country := range slices.Sorted(maps.Keys(c.CarrierDays)) {
		if days := c.CarrierDays[country]; days < 0 || days > maxCarrierDays {
			faults = append(faults, fmt.Errorf("PROMISE_CARRIER_DAYS, country %s: between 0 and %d days, not %d",
				country, maxCarrierDays, days))
		}
	}
	if _, known := c.CarrierDays[anywhere]; len(c.CutOffs) > 0 && !known {
		faults = append(faults, errors.New("PROMISE_CARRIER_DAYS has no days for all other countries, as in *:5"))
	}
	for _, name := range c.Workdays {
		day, known := weekdays[strings.ToLower(name)]
		if !known {
			faults = append(faults, fmt.Errorf("PROMISE_WORKDAYS: %q is no day, as in mon", name))
		}
		out.workdays[day] = true
	}
	if len(c.Workdays) == 0 && len(c.CutOffs) > 0 {
		faults = append(faults, errors.New("PROMISE_WORKDAYS is empty; name at least one day"))
	}
	for _, date := range c.ClosedDays {
		if _, err := time.Parse(time.DateOnly, date); err != nil {
			faults = append(faults, fmt.Errorf("PROMISE_CLOSED_DAYS: %q is no date, as in 2026-12-25", date))
		}
		out.closed[date] = true
	}
	return out, errors.Join(faults...)
}

// readCutOff reads a time of day with an optional time zone, as in 14:00 Europe/Vienna.
func readCutOff(text string) (cutOff, error) {
	clock, name, _ := strings.Cut(text, " ")
	at, err := time.Parse("15:04", clock)
	if err != nil {
		return cutOff{}, fmt.Errorf("%s is no time of day, as in 14:00", strconv.Quote(clock))
	}
	zone, err := time.LoadLocation(name) // "" is UTC
	if err != nil {
		return cutOff{}, fmt.Errorf("%s is no time zone, as in Europe/Vienna", strconv.Quote(name))
	}
	return cutOff{time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute, zone}, nil
}

// Day returns the day, as 2026-12-01, on which a shipment that is planned now at the location is promised to arrive in
// the country. It returns "" if nothing is promised for the location.
func (c *Calendar) Day(location, country string, now time.Time) string {
	until, known := c.cutOffs[location]
	if !known {
		until, known = c.cutOffs[anywhere]
	}
	if !known {
		return ""
	}
	days, known := c.carrierDays[strings.ToUpper(country)]
	if !known {
		days = c.carrierDays[anywhere]
	}

	now = now.In(until.zone)
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC) // UTC has no hours that are skipped
	clock := time.Duration(now.Hour())*time.Hour + time.Duration(now.Minute())*time.Minute
	if clock >= until.sinceMidnight {
		day = day.AddDate(0, 0, 1)
	}
	day = c.workday(day)
	for range days {
		day = c.workday(day.AddDate(0, 0, 1))
	}
	return day.Format(time.DateOnly)
}

// workday returns the day itself if things leave and arrive on it, else the next such day. A calendar that is closed
// for a year promises as if it were open.
func (c *Calendar) workday(day time.Time) time.Time {
	for ahead := range 366 {
		if next := day.AddDate(0, 0, ahead); c.workdays[next.Weekday()] && !c.closed[next.Format(time.DateOnly)] {
			return next
		}
	}
	return day
}
