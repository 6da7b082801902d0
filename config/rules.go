package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-playground/validator/v10"
)

// validate holds every field against the rules in its tag.
func (l *loader) validate() {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string { return f.Tag.Get("yaml") })
	for _, tag := range []string{"address", "chars", "graph_url", "graph_version", "id", "otlp_url", "prefix", "redis_url", "within"} {
		rule := func(f validator.FieldLevel) bool { return complaint(tag, f.Param(), f.Field()) == "" }
		if err := v.RegisterValidation(tag, rule); err != nil {
			l.faults = append(l.faults, Fault{Text: err.Error()}) // two rules of one name
		}
	}
	var broken validator.ValidationErrors
	if err := v.Struct(l.cfg); err != nil && !errors.As(err, &broken) {
		l.faults = append(l.faults, Fault{Text: err.Error()})
	}
	hints := hints(reflect.TypeFor[Config](), "", map[string]string{})
	for _, b := range broken {
		_, path, _ := strings.Cut(b.Namespace(), ".")
		if l.bad[path] || l.placeholder[path] {
			continue
		}
		text := complaint(b.Tag(), b.Param(), reflect.ValueOf(b.Value()))
		if b.Tag() == "required" {
			text = missing(path, hints[index.ReplaceAllString(path, "")])
		}
		l.fault(path, "%s", text)
	}
}

// index is the number of a list's item in a path.
var index = regexp.MustCompile(`\[\d+\]`)

// hints returns where to find the values of settings, by path without indexes.
func hints(t reflect.Type, path string, all map[string]string) map[string]string {
	for f := range t.Fields() {
		at := join(path, f.Tag.Get("yaml"))
		all[at] = f.Tag.Get("hint")
		switch {
		case isSection(f.Type):
			hints(f.Type, at, all)
		case isPages(f.Type):
			hints(f.Type.Elem(), at, all)
		}
	}
	return all
}

func missing(path, hint string) string {
	switch {
	case strings.HasSuffix(path, "]"):
		return "is empty: remove it from the list"
	case hint == "":
		return "is empty: write a text, or remove the line for the default"
	}
	return fmt.Sprintf("missing: %s; or set %s", hint, variable(path))
}

// complaint returns what is wrong with a value under the rule of a tag, and "" if
// nothing is.
func complaint(tag, param string, v reflect.Value) string {
	switch tag {
	case "address":
		return addressComplaint(v.String())
	case "chars":
		return charsComplaint(v, param)
	case "graph_url":
		return graphURLComplaint(v.String())
	case "graph_version":
		return unless(regexp.MustCompile(`^v\d+\.\d+$`).MatchString(v.String()), "%q is not a version of the Graph API, such as v26.0", v)
	case "id":
		return unless(isID(v.String()), "%q is not an id of Meta's: those are digits only", v)
	case "otlp_url":
		return otlpURLComplaint(v.String())
	case "prefix": // braces would change which keys share a node of a cluster
		return unless(regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`).MatchString(v.String()), "%q cannot begin keys: use 1 to 64 letters, digits and _ . : -", v)
	case "redis_url":
		if _, err := parseRedisURL(revealed(v)); err != nil {
			return err.Error()
		}
	case "within":
		return withinComplaint(v, param)
	case "oneof":
		return fmt.Sprintf("%q is not one of %s", v, strings.ReplaceAll(param, " ", ", "))
	case "max":
		return fmt.Sprintf("%d items, at most %s", v.Len(), param)
	case "min":
		return "missing: list at least one Page: - {id: ..., access_token: ...}; or set " + variable("messenger.pages[0].id") + " and its neighbours"
	case "required":
	}
	return ""
}

func unless(fine bool, format string, args ...any) string {
	if fine {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func revealed(v reflect.Value) string {
	if s, ok := reflect.TypeAssert[Secret](v); ok {
		return s.Reveal()
	}
	return v.String()
}

// isID tells whether s can be an id of Meta's.
func isID(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "0123456789") == ""
}

func addressComplaint(s string) string {
	_, port, err := net.SplitHostPort(s)
	n, portErr := strconv.ParseUint(port, 10, 16)
	return unless(err == nil && portErr == nil && n <= 65535,
		`%q is not an address: write HOST:PORT, such as "127.0.0.1:8080", or ":8080" for all interfaces`, s)
}

// charsComplaint bounds a text, or each text of a [Text], in characters.
func charsComplaint(v reflect.Value, param string) string {
	limit, _ := strconv.Atoi(param) // a tag of ours
	texts, ok := reflect.TypeAssert[Text](v)
	if !ok {
		return unless(utf8.RuneCountInString(v.String()) <= limit, "%d characters, at most %d", utf8.RuneCountInString(v.String()), limit)
	}
	for locale, text := range texts {
		n := utf8.RuneCountInString(text)
		switch {
		case locale != "" && !regexp.MustCompile(`^[a-z]{2,3}(_[A-Z]{2})?$`).MatchString(locale):
			return fmt.Sprintf("%q is not a locale as Meta writes it: de or de_DE; default is for all others", locale)
		case strings.TrimSpace(text) == "":
			return "is empty: write a text, or remove the line for the default"
		case n > limit:
			return fmt.Sprintf("%d characters, at most %d", n, limit)
		}
	}
	return ""
}

// graphURLComplaint keeps tokens from travelling in the clear.
func graphURLComplaint(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Sprintf("%q is not the address of the Graph API, such as https://graph.facebook.com", s)
	}
	return unless(u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()),
		"%q is neither https nor on loopback: tokens would travel in the clear", s)
}

// otlpURLComplaint takes plain http: a collector is a neighbour, and gets no secrets.
func otlpURLComplaint(s string) string {
	u, err := url.Parse(s)
	fine := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
	return unless(s == "" || fine, "%q is not the address of a collector, such as http://localhost:4318", s)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// withinComplaint bounds a number or a duration to "least~most", or "0+least~most"
// where 0 switches something off.
func withinComplaint(v reflect.Value, param string) string {
	bounds, zeroToo := strings.CutPrefix(param, "0+")
	least, most, _ := strings.Cut(bounds, "~")
	n, parse, show := v.Int(), parseInt, strconv.Itoa(int(v.Int()))
	if d, ok := reflect.TypeAssert[time.Duration](v); ok {
		parse, show = parseDuration, FormatDuration(d)
	}
	if n >= parse(least) && n <= parse(most) || zeroToo && n == 0 {
		return ""
	}
	if zeroToo {
		least = "0, or " + least
	}
	return fmt.Sprintf("%s is outside %s to %s", show, least, most)
}

// parseInt and parseDuration read bounds in tags of ours.
func parseInt(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

func parseDuration(s string) int64 {
	d, _ := ParseDuration(s)
	return int64(d)
}
