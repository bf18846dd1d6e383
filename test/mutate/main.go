// Mutate shows that the tests of test/adversary need the code they are about: it
// takes each defence of test/adversary/defences.txt out, runs the test that is named
// there, and demands that the attack then succeeds.
//
// No file of the tree is changed: the changed ones are laid over it (go build
// -overlay). A defence whose text is not found exactly once in its file is an
// error, and so is a test that fails without saying "breach".
//
//	go run ./test/mutate                 all of them: some seconds each
//	go run ./test/mutate -run Notary     those whose test, file or words match
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"
)

func main() {
	match := flag.String("run", "", "only those whose test, file or words match this regular expression")
	flag.Parse()
	if err := run(*match); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		fmt.Fprintln(os.Stderr, "hint: test/adversary/defences.txt names the defences; a test that still passes without one does not show it")
		os.Exit(1)
	}
}

func run(match string) error {
	only, err := regexp.Compile(match)
	if err != nil {
		return err
	}
	all, err := read("test/adversary/defences.txt")
	if err != nil {
		return err
	}
	failed, tried := 0, pick(all, only)
	for i, d := range tried {
		start := time.Now()
		how, err := d.without()
		if err != nil {
			failed++
			how = "ERROR: " + err.Error()
		}
		fmt.Printf("%d/%d %s (%s, %.0f s)\n      without: %s\n      %s\n", i+1, len(tried), d.test, d.hunks[0].file, time.Since(start).Seconds(), d.words, how)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d defences are not shown to be needed", failed, len(tried))
	}
	fmt.Printf("%d defences, each needed\n", len(tried))
	return nil
}

// pick chooses those whose test, file or words match.
func pick(all []defence, only *regexp.Regexp) (some []defence) {
	for _, d := range all {
		if only.MatchString(d.test + " " + d.hunks[0].file + " " + d.words) {
			some = append(some, d)
		}
	}
	return some
}
