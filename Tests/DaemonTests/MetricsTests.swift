import Foundation
import Testing

@testable import Daemon

@Suite struct MetricsTests {
    @Test func aPageHasHelpTypeAndSamples() {
        var page = PrometheusText()
        page.counter("a_total", "Things.", 18_446_744_073_709_551_615)
        page.gauge("b", "Back\\slash and\nline.") { family in
            family.sample(3, ["x": "say \"a\\b\"\n", "y": "ü"])
            family.sample(0.5, ["x": ""])
        }
        page.gauge("c", "Nothing to say.") { _ in }
        page.gauge("d", "Odd.") { family in
            family.sample(Double.nan)
            family.sample(Double.infinity)
            family.sample(-Double.infinity)
        }
        #expect(
            String(decoding: page.bytes, as: UTF8.self) == #"""
                # HELP a_total Things.
                # TYPE a_total counter
                a_total 18446744073709551615
                # HELP b Back\\slash and\nline.
                # TYPE b gauge
                b{x="say \"a\\b\"\n",y="ü"} 3
                b{x=""} 0.5
                # HELP d Odd.
                # TYPE d gauge
                d NaN
                d +Inf
                d -Inf

                """#)
    }

    @Test func theKernelsWordOfThisProcess() throws {
        let figures = try #require(ProcessFigures.read())
        #expect(figures.residentBytes > 1_000_000)
        #expect(figures.anonymousBytes > 100_000)
        #expect(figures.anonymousBytes < figures.residentBytes)
        #expect(figures.virtualBytes > figures.residentBytes)
        #expect(figures.threads >= 1)
        #expect(figures.maximumDescriptors ?? 0 > 0)
        let start = try #require(figures.startSeconds)
        let now = Date().timeIntervalSince1970
        #expect(start <= now + 2 && start > now - 3_600 * 24)
        #expect(ProcessFigures.read(root: "/nowhere") == nil)
    }

    @Test func aProcessMayHaveAnyName() throws {
        let line = "7 (a) b (c)) S 1 1 1 0 -1 0 0 0 0 0 250 50 0 0 20 0 3 0 700 8192 2 99"
        let figures = try #require(ProcessFigures(stat: line))
        #expect(figures.cpuSeconds == 3)
        #expect(figures.threads == 3)
        #expect(figures.startSeconds == 7)
        #expect(figures.virtualBytes == 8192)
        #expect(ProcessFigures(stat: "") == nil)
        #expect(ProcessFigures(stat: "7 (x) S 1") == nil)
        #expect(ProcessFigures(stat: "7 (x) S" + String(repeating: " x", count: 30)) == nil)
    }
}
