package reconcile_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// TestDamageDoesNotWaitForAGate: while a healing waits for somebody's health, what breaks beside it is put right, again and again, and
// who is waited for is left in peace.
func TestDamageDoesNotWaitForAGate(t *testing.T) {
	run(t, func(b *bench) {
		db := service("db", healthy)
		db.HealthCheck.StartPeriod = time.Hour
		b.up(project(db, service("web", after("db", spec.ServiceHealthy, true)), service("side")), ask.UpOptions{})
		b.heal()
		b.listen()
		begun := time.Now()
		well := begun.Add(5 * time.Minute)
		b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) {
			if time.Now().Before(well) {
				return 1, 0, "starting"
			}
			return 0, 0, ""
		}
		b.kill("shop-db-1")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		b.same("while db starts", b.running(), "db-1 side-1")
		run := b.rows("shop")["shop-db-1"].StartedAt
		for range 3 {
			b.kill("shop-side-1")
			b.host.DamageNetwork("shop_default", "other hands")
			time.Sleep(20 * time.Second)
			synctest.Wait()
			b.same("after damage beside it", b.running(), "db-1 side-1")
			for _, c := range b.drift().Changes {
				if c.ID.Name != "web" {
					b.Errorf("%s is still damaged: %v", c.Name, c.Reasons)
				}
			}
		}
		if now := b.rows("shop")["shop-db-1"].StartedAt; !now.Equal(run) {
			b.Error("db, which was waited for, was started again")
		}
		if time.Now().After(well) {
			b.Fatal("the test takes too long")
		}
		// What is damaged in who is waited for is mended as it runs.
		b.host.DamageSandbox(b.rows("shop")["shop-db-1"].ID, "other hands")
		time.Sleep(time.Until(well) + 30*time.Second)
		synctest.Wait()
		b.same("in the end", b.running(), "db-1 side-1 web-1")
		b.same("drift in the end", lines(b.drift()), "")
		if now := b.rows("shop")["shop-db-1"].StartedAt; !now.Equal(run) {
			b.Error("db was started again in the end")
		}
		damaged := 0
		for _, text := range b.said() {
			if text == "container shop-web-1 Damaged" {
				damaged++
			}
		}
		if damaged > 1 {
			b.Errorf("the damage of web was told %d times", damaged)
		}
	})
}

// TestAPauseIsNotForgottenForAShorterOne: while a healing waits for somebody's health, what may not be tried again yet is mended when its pause is over,
// although another pause has ended before.
func TestAPauseIsNotForgottenForAShorterOne(t *testing.T) {
	run(t, func(b *bench) {
		db := service("db", healthy)
		db.HealthCheck.StartPeriod = time.Hour
		b.up(project(db, service("web", after("db", spec.ServiceHealthy, true)), service("side"), service("other")), ask.UpOptions{})
		b.heal()
		b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) { return 1, 0, "starting" }
		b.kill("shop-db-1")
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		pass(20 * time.Second)
		damage := func(network bool) {
			b.kill("shop-side-1")
			if network {
				b.host.DamageNetwork("shop_default", "other hands")
			}
			pass(20 * time.Second)
			b.kill("shop-other-1") // the next round begins, and with it the pauses of what the last one has mended
		}
		for range 3 {
			damage(false)
			pass(20 * time.Second)
		}
		damage(true) // side's pause is one of eight seconds, the network's one of one
		pass(3 * time.Second)
		b.kill("shop-side-1")
		pass(20 * time.Second)
		b.same("after the pause", b.running(), "db-1 other-1 side-1")
	})
}
