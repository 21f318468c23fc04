// SPDX-License-Identifier: MIT
internal import Glibc

/// Curves side by side as an SVG: logarithmic to the right, from 0 upwards, the same height for all.
/// Pure.
struct Chart: Sendable {
    struct Series: Sendable {
        let name: String
        /// x above 0, ascending.
        let points: [(Double, Double)]
    }

    struct Panel: Sendable {
        let xLabel: String
        let series: [Series]
    }

    let title: String
    let yLabel: String
    let panels: [Panel]

    private static let colours = ["#1f6feb", "#8b949e", "#d29922", "#2da44e"]
    private static let width = 400.0
    private static let height = 260.0
    private static let left = 56.0
    private static let top = 48.0

    /// The drawing, on white, so that it is read on a dark page too.
    var svg: String {
        let most = panels.flatMap(\.series).flatMap(\.points).map(\.1).max() ?? 1
        let step = Chart.step(to: most)
        let top = max(step, (most / step).rounded(.up) * step)
        let whole = Double(panels.count) * (Chart.width + Chart.left + 24)
        var lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(Chart.number(whole)) "
                + "\(Chart.number(Chart.top + Chart.height + 70))\" "
                + "font-family=\"sans-serif\" font-size=\"12\">",
            "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>",
            Chart.text(title, x: Chart.left, y: 20, anchor: "start", size: 15),
            Chart.text(yLabel, x: Chart.left, y: 38, anchor: "start"),
        ]
        for (index, panel) in panels.enumerated() {
            let x = Chart.left + Double(index) * (Chart.width + Chart.left + 24)
            lines += draw(panel, at: x, top: top, step: step)
        }
        return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
    }

    private func draw(_ panel: Panel, at left: Double, top: Double, step: Double) -> [String] {
        let places = panel.series.flatMap(\.points).map(\.0)
        guard let least = places.min(), let most = places.max(), least > 0 else { return [] }
        let bottom = Chart.top + Chart.height
        func x(_ value: Double) -> Double {
            guard most > least else { return left + Chart.width / 2 }
            return left + Chart.width * log2(value / least) / log2(most / least)
        }
        func y(_ value: Double) -> Double { bottom - Chart.height * value / top }
        var lines: [String] = []
        var level = 0.0
        while level <= top * 1.0001 {
            lines.append(
                "<path d=\"M\(Chart.number(left)) \(Chart.number(y(level)))"
                    + "h\(Chart.number(Chart.width))\" stroke=\"#d8dee4\"/>")
            lines.append(
                Chart.text(
                    BenchFormat.fixed(level, step < 1 ? 1 : 0), x: left - 6, y: y(level) + 4,
                    anchor: "end"))
            level += step
        }
        for place in Set(places).sorted() {
            lines.append(
                Chart.text(String(Int(place)), x: x(place), y: bottom + 18, anchor: "middle"))
        }
        lines.append(
            Chart.text(panel.xLabel, x: left + Chart.width / 2, y: bottom + 38, anchor: "middle"))
        for (index, series) in panel.series.enumerated() {
            let colour = Chart.colours[index % Chart.colours.count]
            let path = series.points.map {
                "\(Chart.number(x($0.0))),\(Chart.number(y($0.1)))"
            }
            lines.append(
                "<polyline points=\"\(path.joined(separator: " "))\" fill=\"none\" "
                    + "stroke=\"\(colour)\" stroke-width=\"2\"/>")
            for point in series.points {
                lines.append(
                    "<circle cx=\"\(Chart.number(x(point.0)))\" cy=\"\(Chart.number(y(point.1)))\" "
                        + "r=\"3\" fill=\"\(colour)\"/>")
            }
            lines.append(
                Chart.text(
                    series.name, x: left + Double(index) * 120, y: bottom + 58, anchor: "start",
                    colour: colour))
        }
        return lines
    }

    /// The distance of the lines across, so that there are four to eight of them.
    static func step(to most: Double) -> Double {
        var step = 0.1
        let factors = [2.0, 2.5, 2.0]
        var index = 0
        while most / step > 8 {
            step *= factors[index % 3]
            index += 1
        }
        return step
    }

    private static func text(
        _ words: String, x: Double, y: Double, anchor: String, size: Int = 12,
        colour: String = "#24292f"
    ) -> String {
        let escaped = words.map { character in
            switch character {
            case "<": "&lt;"
            case ">": "&gt;"
            case "&": "&amp;"
            default: String(character)
            }
        }.joined()
        return "<text x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"\(anchor)\" "
            + "font-size=\"\(size)\" fill=\"\(colour)\">\(escaped)</text>"
    }

    private static func number(_ value: Double) -> String { BenchFormat.fixed(value, 1) }
}
