package main

import (
	"regexp"
	"slices"
	"strings"

	"writ/bundle"
)

// rewordings are what libraries say, and what a person is told instead. What stands
// before a colon is replaced only where a part of an error begins.
var rewordings = []struct {
	library *regexp.Regexp
	plain   string
}{
	{regexp.MustCompile(`(^|: |; )(?:client|canceled|unknown|invalid_argument|deadline_exceeded|not_found|already_exists|permission_denied|` +
		`resource_exhausted|failed_precondition|aborted|out_of_range|unimplemented|internal|unavailable|data_loss|unauthenticated): `), "$1"},
	{regexp.MustCompile(`(?:Get|Post) "([^"]*)": `), "$1: "},
	{regexp.MustCompile(`dial (?:tcp|udp|unix): lookup (\S+)(?: on \S+)?: no such host`), "there is no host $1"},
	{regexp.MustCompile(`dial (?:tcp|unix) (\S+): connect: `), "nothing answers at $1: "},
	{regexp.MustCompile(`(?:net/http: request canceled|context deadline exceeded)(?: \([^)]*\))?`), "no answer came in time"},
	{regexp.MustCompile(`disk I/O error \(\d+\)`), "the disk can't be written or read"},
	{regexp.MustCompile(`database or disk is full \(\d+\)`), "the disk is full"},
	{regexp.MustCompile(`resource temporarily unavailable`), "it is locked"},
	{regexp.MustCompile(`accepts (\d+) arg\(s\), received (\d+)`), "arguments: $2 given, $1 needed"},
	{regexp.MustCompile(`requires at least (\d+) arg\(s\), only received (\d+)`), "arguments: $2 given, $1 or more needed"},
}

// plain is an error for a person: each part of it once, in one line, without the words
// that only programs need. Parts of it may be a service's words: they change nothing
// around them on a screen.
func plain(err error) string {
	var parts []string
	for part := range strings.SplitSeq(err.Error(), "\n") {
		for again := true; again; { // parts that are left out may stand one after the other
			before := part
			for _, r := range rewordings {
				part = r.library.ReplaceAllString(part, r.plain)
			}
			again = part != before
		}
		if !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return oneLine(strings.Join(parts, "\n"))
}

// oneLine is a text in one line, with what controls a screen written out.
func oneLine(s string) string { return bundle.Visible(strings.ReplaceAll(s, "\n", "; ")) }
