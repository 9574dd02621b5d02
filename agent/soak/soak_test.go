//go:debug rsa1024min=0

// Package soak proves by simulation that nothing is lost and nothing doubled. It
// holds tests only. One seed is one shop in one synctest bubble: real routers,
// buffers, uplinks, ingest and store; replaced are devices (sat/sim, in process),
// the clock (the bubble's) and the network.
//
// What happens is drawn from the seed alone: plan_test.go says what may go wrong
// and when, till_test.go how a POS program behaves, check_test.go what must hold
// afterwards. A seed that fails says how to replay it:
//
//	ZELO_SOAK_SEED=17 go test -count=1 -run TestSoak ./agent/soak
//
// mutants_test.go puts faults into the product and wants them found.
package soak

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Variables of the environment.
const (
	envSeeds   = "ZELO_SOAK_SEEDS"   // how many seeds, from 1 on; 300
	envSeed    = "ZELO_SOAK_SEED"    // only this one
	envMutants = "ZELO_SOAK_MUTANTS" // 1: looks for the mutants instead
	envFirst   = "ZELO_SOAK_FIRST"   // 1: ends with the first seed that fails
)

const plainSeeds = 300

// totals add up over seeds.
type totals struct {
	mu                              sync.Mutex
	seeds, sales, faults            int
	lost, doubled, unknown, missing int
	struck                          [kinds][phases]int
	failed                          atomic.Bool
}

// result is printed behind all else; `make soak` ends with its last line.
type result struct{ table, line string }

func TestMain(m *testing.M) {
	code := m.Run()
	for _, text := range []string{last.table, last.line} {
		if text != "" {
			fmt.Println(text)
		}
	}
	os.Exit(code)
}

var last result

func number(t *testing.T, name string) (n int, given bool) {
	text := os.Getenv(name)
	if text == "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%q is no number", name, text)
	}
	return n, true
}

func TestSoak(t *testing.T) {
	if os.Getenv(envMutants) != "" {
		t.Skip("SKIP: the mutants are looked for instead")
	}
	first, count := 1, plainSeeds
	if n, ok := number(t, envSeeds); ok {
		count = n
	}
	if n, ok := number(t, envSeed); ok {
		first, count = n, 1
	}
	shop := newShop(t)
	sum := &totals{}
	t.Run("seeds", func(t *testing.T) {
		for seed := first; seed < first+count; seed++ {
			t.Run(strconv.Itoa(seed), func(t *testing.T) {
				t.Parallel()
				if sum.failed.Load() && os.Getenv(envFirst) != "" {
					t.Skip("SKIP: another seed has failed")
				}
				defer func() { // a bubble that fails ends this goroutine
					if t.Failed() {
						sum.failed.Store(true)
						t.Logf("replay: %s=%d go test -count=1 -run TestSoak ./agent/soak", envSeed, seed)
					}
				}()
				synctest.Test(t, func(t *testing.T) { run(t, shop, uint64(seed), sum) })
			})
		}
	})
	last.table = sum.table()
	if count >= plainSeeds {
		sum.complete(t)
	}
	last.line = fmt.Sprintf("soak: %d seeds, %d lost, %d doubled (%d sales, %d faults, %d unknown, %d missing)",
		sum.seeds, sum.lost, sum.doubled, sum.sales, sum.faults, sum.unknown, sum.missing)
}

// table shows how often each fault struck in each phase.
func (s *totals) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-20s", "fault x phase")
	for p := range phases {
		fmt.Fprintf(&b, "%10s", p)
	}
	for k := range kinds {
		fmt.Fprintf(&b, "\n%-20s", k)
		for p := range phases {
			if k.fits(p) {
				fmt.Fprintf(&b, "%10d", s.struck[k][p])
			} else {
				fmt.Fprintf(&b, "%10s", "-")
			}
		}
	}
	return b.String()
}

// complete fails on a fault that never struck in a phase it belongs to.
func (s *totals) complete(t *testing.T) {
	for k := range kinds {
		for p := range phases {
			if k.fits(p) && s.struck[k][p] == 0 {
				t.Errorf("fault %s never struck in phase %s", k, p)
			}
		}
	}
}
