package main

import (
	"maps"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"usher/bot"
	"usher/config"
	"usher/handover"
	"usher/messenger/graph"
)

// profileOf returns what the settings and the script want a Page to show.
func profileOf(cfg config.Config, page config.Page, script *bot.Script) graph.MessengerProfile {
	profiles := script.Profiles(page.Name)
	if len(profiles) == 0 {
		profiles = []bot.Profile{{}} // the ways to people and back are there without it
	}
	want := graph.MessengerProfile{GetStarted: &graph.GetStarted{Payload: bot.PayloadGetStarted}}
	addProfile(&want, "default", profiles[0], waysOf(cfg.Handover))
	locales := map[string]bot.Profile{}
	for _, p := range profiles[1:] {
		for _, locale := range metaLocales(p.Locale) {
			if p.Locale == locale || locales[locale].Locale == "" { // pt_BR itself before pt
				locales[locale] = p
			}
		}
	}
	for _, locale := range slices.Sorted(maps.Keys(locales)) {
		addProfile(&want, locale, locales[locale], waysOf(cfg.Handover))
	}
	return want
}

func addProfile(want *graph.MessengerProfile, locale string, p bot.Profile, ways []graph.Button) {
	if p.Greeting != "" {
		want.Greeting = append(want.Greeting, graph.Greeting{Locale: locale, Text: p.Greeting})
	}
	if len(p.IceBreakers) > 0 {
		b := graph.IceBreakers{Locale: locale}
		for _, q := range p.IceBreakers {
			b.Questions = append(b.Questions, graph.IceBreaker{Question: q.Title, Payload: q.Payload})
		}
		want.IceBreakers = append(want.IceBreakers, b)
	}
	var items []graph.Button
	for _, b := range p.Menu {
		items = append(items, graph.Button{Title: b.Title, Payload: b.Payload, URL: b.URL})
	}
	if items = append(items, ways...); len(items) > 0 {
		want.Menu = append(want.Menu, graph.Menu{Locale: locale, Items: items})
	}
}

// waysOf are the menu's ways between the bot and people.
func waysOf(h config.Handover) (ways []graph.Button) {
	if h.TalkToHuman.Menu {
		ways = append(ways, graph.Button{Title: h.TalkToHuman.Button, Payload: handover.PayloadHandoffMenu})
	}
	if h.BackToBot.Menu {
		ways = append(ways, graph.Button{Title: h.BackToBot.Button, Payload: handover.PayloadBackMenu})
	}
	return ways
}

// metaLocales returns Meta's locales for one that a script is written in: a
// language without a country stands for all that Meta has of it.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/reference/messenger-profile-api/supported-locales
func metaLocales(name string) []string {
	switch name {
	case "ar":
		return []string{"ar_AR"}
	case "en":
		return []string{"en_US", "en_GB"}
	case "es":
		return []string{"es_LA", "es_ES"}
	case "fr":
		return []string{"fr_FR", "fr_CA"}
	case "nl":
		return []string{"nl_NL", "nl_BE"}
	case "no":
		return []string{"nb_NO", "nn_NO"}
	case "pt":
		return []string{"pt_BR", "pt_PT"}
	case "zh":
		return []string{"zh_CN", "zh_HK", "zh_TW"}
	}
	tag, err := language.Parse(name)
	if err != nil || strings.ContainsAny(name, "_-") {
		return []string{strings.ReplaceAll(name, "-", "_")}
	}
	base, _ := tag.Base()
	region, _ := tag.Region() // the likeliest one
	return []string{base.String() + "_" + region.String()}
}
