import FleetModel
import Testing

@Suite struct TimestampTests {
    // Made with date(1) and by hand from the calendar's rules.
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_732_181_234_567, "2024-11-21T09:27:14.567Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-2_203_891_200_000, "1900-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
        ] as [(Int64, String)])
    func millisecondsAreWrittenAndReadBack(milliseconds: Int64, text: String) {
        #expect(Timestamp(unixMilliseconds: milliseconds).description == text)
        #expect(Timestamp(text)?.unixMilliseconds == milliseconds)
    }

    @Test(arguments: [Int64.max, .min])
    func timesBeyondTheCalendarAreHeldAtItsEnds(milliseconds: Int64) {
        let text = Timestamp(unixMilliseconds: milliseconds).description
        #expect(Timestamp(text) != nil)
    }

    @Test func everyDayOfFourCenturiesRoundTrips() {
        for day in stride(from: Int64(-36_524), through: 110_000, by: 1) {
            let time = Timestamp(unixMilliseconds: day * 86_400_000 + 43_200_001)
            #expect(Timestamp(time.description) == time)
        }
    }

    @Test(
        arguments: [
            ("2024-11-21T10:27:14.567+01:00", 1_732_181_234_567),
            ("2024-11-21t04:27:14.5679-05:00", 1_732_181_234_567),
            ("2024-11-21 09:27:14z", 1_732_181_234_000),
            ("2024-11-21T09:27:14.5Z", 1_732_181_234_500),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ] as [(String, Int64)])
    func otherFormsOfRFC3339AreRead(text: String, milliseconds: Int64) {
        #expect(Timestamp(text)?.unixMilliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "2024-11-21", "2024-11-21T09:27:14", "2024-13-01T00:00:00Z", "2023-02-29T00:00:00Z",
        "2024-11-31T00:00:00Z", "2024-00-10T00:00:00Z", "2024-11-21T24:00:00Z",
        "2024-11-21T09:60:00Z", "2024-11-21T09:27:14.Z", "2024-11-21T09:27:14Zx",
        "2024-11-21T09:27:14+1:00", "+024-11-21T09:27:14Z", "1732181234", "2100-02-29T00:00:00Z",
    ])
    func otherTextsAreRefused(text: String) {
        #expect(Timestamp(text) == nil)
    }
}
