package notification

import (
	"embed"
	"fmt"
	htmltemplate "html/template"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/bojanz/currency"
	"golang.org/x/text/language"

	"holdfast/internal/money"
	"holdfast/internal/orderstore"
)

// The texts of a language are in one file, so that a translator edits one file. The layouts are shared.
//
//go:embed templates
var files embed.FS

// languages are the languages that have texts.
var languages = []language.Tag{language.English, language.German}

func hasLanguage(tag language.Tag) bool { return slices.Contains(languages, tag) }

// localeKey is the member of an order's metadata that names the customer's language, as a BCP 47 tag such as de or
// de-AT. The shop sets it when it places the order.
const localeKey = "locale"

// Renderer composes messages from orders.
type Renderer struct {
	shop     string
	fallback language.Tag
	matcher  language.Matcher
	texts    map[language.Tag]*template.Template
	text     *template.Template
	html     *htmltemplate.Template
}

// NewRenderer returns a renderer with the embedded templates. It returns an error if a kind has no text in a language.
func NewRenderer(cfg Config) (*Renderer, error) {
	r := &Renderer{
		shop:    cfg.Shop,
		matcher: language.NewMatcher(languages),
		texts:   map[language.Tag]*template.Template{},
	}
	var err error
	if r.fallback, err = language.Parse(cfg.Language); err != nil {
		return nil, fmt.Errorf("parse the language %q: %w", cfg.Language, err)
	}
	if r.text, err = template.ParseFS(files, "templates/layout.txt.tmpl"); err != nil {
		return nil, fmt.Errorf("parse the layout of texts: %w", err)
	}
	if r.html, err = htmltemplate.ParseFS(files, "templates/layout.html.tmpl"); err != nil {
		return nil, fmt.Errorf("parse the layout of HTML: %w", err)
	}
	for _, tag := range languages {
		texts, err := template.ParseFS(files, "templates/"+tag.String()+".tmpl")
		if err != nil {
			return nil, fmt.Errorf("parse the texts in %s: %w", tag, err)
		}
		for _, kind := range Kinds() {
			for _, part := range []string{".subject", ".body"} {
				if texts.Lookup(string(kind)+part) == nil {
					return nil, fmt.Errorf("the texts in %s have no %s%s", tag, kind, part)
				}
			}
		}
		r.texts[tag] = texts
	}
	return r, nil
}

// facts are what a text may name.
type facts struct {
	Number string // by which people call the order
	Name   string // of the person to whom the order is sent; may be empty
	Amount string // of the event; may be empty
}

// page is what a layout shows.
type page struct {
	Language, Subject, Greeting, Body string
	Paragraphs                        []string
	OrderLabel, Number                string
	Lines                             []lineOnPage
	ShippingLabel, Shipping           string // Shipping is empty if the shop sets none
	TotalLabel, Total                 string
	ExpectedLabel, Expected           string // Expected is the promised day, of an order that is on its way
	Closing, Shop                     string
}

type lineOnPage struct {
	Quantity    int64
	Name, Total string
}

// Render composes the message of a notification about an order.
func (r *Renderer) Render(n Notification, o orderstore.Order) (Message, error) {
	tag := r.languageOf(o)
	amounts := currency.NewFormatter(currency.NewLocale(tag.String()))
	about := facts{Number: o.Number}
	if o.ShipTo != nil {
		about.Name = o.ShipTo.Name
	}
	if n.Currency != "" {
		about.Amount = format(amounts, money.Amount{Minor: n.AmountMinor, Currency: n.Currency})
	}

	dateLayout := ""
	p := page{Language: tag.String(), Number: o.Number, Total: format(amounts, o.Total), Shop: r.shop}
	for _, l := range o.Lines {
		p.Lines = append(p.Lines, lineOnPage{Quantity: l.Quantity, Name: l.Name, Total: format(amounts, l.Total)})
	}
	if o.Shipping.Minor > 0 {
		p.Shipping = format(amounts, o.Shipping)
	}
	for _, part := range []struct {
		template string
		into     *string
	}{
		{n.Kind + ".subject", &p.Subject},
		{n.Kind + ".body", &p.Body},
		{"greeting", &p.Greeting},
		{"order", &p.OrderLabel},
		{"shipping", &p.ShippingLabel},
		{"total", &p.TotalLabel},
		{"expected", &p.ExpectedLabel},
		{"date", &dateLayout},
		{"closing", &p.Closing},
	} {
		var text strings.Builder
		if err := r.texts[tag].ExecuteTemplate(&text, part.template, about); err != nil {
			return Message{}, fmt.Errorf("write %s in %s: %w", part.template, tag, err)
		}
		*part.into = text.String()
	}
	if promised := o.PromisedOn(); !promised.IsZero() && o.State.CarriedOut() && !o.State.Closed() {
		p.Expected = promised.Format(dateLayout)
	}
	p.Paragraphs = strings.Split(p.Body, "\n\n")

	var text, html strings.Builder
	if err := r.text.Execute(&text, p); err != nil {
		return Message{}, fmt.Errorf("write the text of %s: %w", n.Kind, err)
	}
	if err := r.html.Execute(&html, p); err != nil {
		return Message{}, fmt.Errorf("write the HTML of %s: %w", n.Kind, err)
	}
	return Message{
		NotificationID: n.NotificationID,
		OrderID:        o.OrderID,
		OrderNumber:    o.Number,
		Kind:           Kind(n.Kind),
		Serial:         int(n.Resends),
		Language:       tag.String(),
		Date:           time.Now(),
		To:             o.Email,
		Subject:        p.Subject,
		Text:           text.String(),
		HTML:           html.String(),
	}, nil
}

// languageOf returns the language that the order's metadata names, if there are texts in it, and else the fallback.
func (r *Renderer) languageOf(o orderstore.Order) language.Tag {
	wanted, err := language.Parse(o.Metadata[localeKey])
	if err != nil || wanted == language.Und {
		return r.fallback
	}
	_, index, confidence := r.matcher.Match(wanted)
	if confidence == language.No {
		return r.fallback
	}
	return languages[index]
}

// format writes an amount in the way of a language. An amount in a currency that the library does not know keeps its
// plain form.
func format(f *currency.Formatter, a money.Amount) string {
	amount, err := currency.NewAmountFromInt64(a.Minor, a.Currency)
	if err != nil {
		return a.String()
	}
	return f.Format(amount)
}
